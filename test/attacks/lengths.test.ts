import t from 'tap'
import { startServer } from '../helpers/server.ts'
import {
  blobsOf,
  call,
  fileUrl,
  head,
  MIB,
  read,
  shout,
  staged,
  verdict,
  weights,
} from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const put = (...headers: string[]): string => head('PUT /v1/checkpoints/acme/x/1', ...headers)

t.test('a Content-Length that lies publishes nothing', async (t) => {
  const file = weights(4096)
  const n = file.length
  const close = 'Connection: close'
  t.match(
    await shout(server, put(`Content-Length: ${n - 1}`, close), file),
    /^HTTP\/1.1 422 /,
    'one byte less',
  )
  t.match(
    await shout(server, put(`Content-Length: ${n + 1}`, close), file, '\0'),
    /^HTTP\/1.1 422 /,
    'one byte more, sent',
  )
  for (const more of [1, 1000, 10 * MIB]) {
    const caller = call(server)
    await caller.send(put(`Content-Length: ${n + more}`), file)
    t.match(
      await caller.until('\r\n\r\n'),
      /^HTTP\/1.1 422 /,
      `${more} more than is sent: the header tells`,
    )
    caller.hangUp()
  }
  const lies: readonly [string, readonly string[]][] = [
    ['a length and chunks', [`Content-Length: ${n}`, 'Transfer-Encoding: chunked']],
    ['chunks and a length', ['Transfer-Encoding: chunked', `Content-Length: ${n}`]],
    ['two lengths', [`Content-Length: ${n}`, `Content-Length: ${n + 1}`]],
    ['the same length twice', [`Content-Length: ${n}`, `Content-Length: ${n}`]],
    ['a list of lengths', [`Content-Length: ${n}, ${n}`]],
    ['a negative length', ['Content-Length: -1']],
    ['a signed length', [`Content-Length: +${n}`]],
    ['a hex length', ['Content-Length: 0x10']],
    ['a length beyond 2^64', ['Content-Length: 18446744073709551617']],
    ['an empty length', ['Content-Length: ']],
    ['a length with a space before the colon', [`Content-Length : ${n}`]],
    ['an unknown coding', ['Transfer-Encoding: gzip']],
    ['chunked that is not last', ['Transfer-Encoding: chunked, identity']],
    ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    ['chunked with a tab', ['Transfer-Encoding:\tchunked', `Content-Length: ${n}`]],
    ['xchunked', ['Transfer-Encoding: xchunked']],
    ['a folded header', [`X: a\r\n Content-Length: ${n}`, 'Content-Length: 5']],
    ['a bare CR', [`X: a\rContent-Length: ${n}`]],
    ['a NUL in a header', [`X: a\0b`, `Content-Length: ${n}`]],
  ]
  const smuggled = head(`GET ${fileUrl('acme/x/1')}`)
  for (const [what, headers] of lies) {
    const answer = await shout(server, put(...headers, close), file, smuggled)
    t.match(answer, /^HTTP\/1.1 4\d\d /, `${what}: ${answer.slice(9, 12)}`)
    t.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1, 'and whatever follows is no second request')
  }
  for (const [what, chunks] of [
    ['a chunk size that is no number', 'zz\r\n'],
    ['a chunk size beyond 2^64', 'fffffffffffffffff\r\n'],
    ['a negative chunk size', '-1\r\n'],
    ['a chunk without its end', '5\r\nabcdefgh\r\n0\r\n\r\n'],
    ['a bare LF after the size', '5\nabcde\r\n0\r\n\r\n'],
  ] as const) {
    const answer = await shout(server, put('Transfer-Encoding: chunked', close), chunks, smuggled)
    t.notMatch(answer, /^HTTP\/1.1 2/, `${what}: ${answer.slice(9, 12)}`)
  }
  while (staged(server).length > 0) await fetch(`${server.url}/livez`)
  t.same(blobsOf(server), [], 'nothing stayed')
  t.match(await verdict(await server.request('/v1/checkpoints/acme/x')), { status: 404 })
})

t.test('a caller that hangs up at any moment leaves nothing half done', async (t) => {
  const file = weights(3 * MIB)
  const whole = put(`Content-Length: ${file.length}`)
  const part =
    '--b\r\nContent-Disposition: form-data; name="f"; filename="model.safetensors"\r\n\r\n'
  const form = head(
    'POST /v1/checkpoints/acme/x/1',
    'Content-Length: 9999999',
    'Content-Type: multipart/form-data; boundary=b',
  )
  const phases: readonly (readonly [string, ...(string | Uint8Array)[]])[] = [
    ['before a byte'],
    ['in the request line', 'PUT /v1/che'],
    ['in the headers', whole.slice(0, -20)],
    ['after the headers', whole],
    ['in the length', whole, file.subarray(0, 4)],
    ["in the file's header", whole, file.subarray(0, 60)],
    ['in the first chunk', whole, file.subarray(0, 1000)],
    ['in a later chunk', whole, file.subarray(0, 2.5 * MIB)],
    ['one byte before the end', whole, file.subarray(0, -1)],
    ['in a form', form, '--b\r\n'],
    ['in a part', form, part, file.subarray(0, 1.5 * MIB)],
    ['after a part', form, part, file, '\r\n--b\r\n'],
    [
      'with its chunks unended',
      put('Transfer-Encoding: chunked'),
      `${file.length.toString(16)}\r\n`,
      file,
      '\r\n',
    ],
  ]
  for (const [phase, ...said] of phases) {
    const caller = call(server)
    await caller.send(...said)
    caller.hangUp()
    await caller.closed
    while (staged(server).length > 0) await fetch(`${server.url}/livez`)
    t.equal((await fetch(`${server.url}/livez`)).status, 200, phase)
    t.equal((await server.request('/v1/checkpoints/acme/x')).status, 404, `${phase}: no version`)
  }
  t.equal((await server.put('acme/x/1', file)).status, 201)
  for (const stop of ['\r\n', '\r\n\r\n']) {
    const caller = call(server)
    await caller.send(head(`GET ${fileUrl('acme/x/1')}`))
    await caller.until(stop)
    caller.hangUp()
  }
  t.ok((await read(server, 'acme/x/1')).bytes?.equals(file), 'readers that leave disturb nobody')
})
