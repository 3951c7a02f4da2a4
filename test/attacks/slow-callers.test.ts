import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { type Caller, call, fileUrl, head, MIB, read, staged, weights } from './hostile.ts'

// On a machine with more to do.
t.setTimeout(120_000)

const CACHE = { STRONGROOM_CACHE_BYTES: '16MiB' }
/** As impatient as may be configured. (A cache of 16 MiB lets four upload at once; here are seven.) */
const impatient = await startServer(t, {
  STRONGROOM_CACHE_BYTES: '64MiB',
  STRONGROOM_STALL_TIMEOUT_MS: '1000',
})

/** Sends a byte every now and then until it is answered, or nobody listens any more. */
async function drip(caller: Caller, byte: string | undefined): Promise<string> {
  const timer = setInterval(() => void (byte === undefined || caller.send(byte)), 100)
  const answer = await caller.until('\r\n\r\n')
  clearInterval(timer)
  caller.hangUp()
  return answer
}

t.test('whoever sends too slowly is cut off, and leaves nothing', async (t) => {
  const server = impatient
  const valid = weights(64 * 1024)
  const put = head('PUT /v1/checkpoints/acme/slow/1', `Content-Length: ${valid.length}`)
  const form = head(
    'POST /v1/checkpoints/acme/slow/2',
    'Content-Length: 100000',
    'Content-Type: multipart/form-data; boundary=b',
  )
  const part =
    '--b\r\nContent-Disposition: form-data; name="f"; filename="model.safetensors"\r\n\r\n'
  const json = head('POST /v1/tokens', 'Content-Length: 1000', 'Content-Type: application/json')
  const attacks: readonly [string, readonly (string | Uint8Array)[], string | undefined, RegExp][] =
    [
      ['nothing at all', [], undefined, /^$|^HTTP\/1.1 408 /],
      ['a header that trickles', ['GET /livez HTTP/1.1\r\nHost: x\r\nX: '], 'a', /^HTTP\/1.1 408 /],
      ['a header that stops', ['GET /livez HTTP/1.1\r\n'], undefined, /^HTTP\/1.1 408 /],
      ['a body that never begins', [put], undefined, /^HTTP\/1.1 408 /],
      [
        'a body that stops in the header',
        [put, valid.subarray(0, 20)],
        undefined,
        /^HTTP\/1.1 408 /,
      ],
      ['a body that trickles', [put, valid.subarray(0, 2000)], '\0', /^HTTP\/1.1 408 /],
      ['a form that stops between parts', [form], undefined, /^$|^HTTP\/1.1 408 /],
      [
        'a form whose part stops',
        [form, part, valid.subarray(0, 2000)],
        undefined,
        /^$|^HTTP\/1.1 408 /,
      ],
      [
        'a form whose part trickles',
        [form, part, valid.subarray(0, 2000)],
        '\0',
        /^$|^HTTP\/1.1 408 /,
      ],
      ['a JSON body that stops', [json, '{"name":'], undefined, /^$|^HTTP\/1.1 408 /],
    ]
  await Promise.all(
    attacks.map(async ([what, said, dripped, wanted]) => {
      const caller = call(server)
      await caller.send(...said)
      const answer = await drip(caller, dripped)
      t.match(answer, wanted, `${what}: ${answer.slice(0, 12)}`)
    }),
  )
  while (staged(server).length > 0) await fetch(`${server.url}/livez`)
  t.equal((await server.put('acme/slow/1', valid)).status, 201, 'and others are served')
})

t.test('150 readers that don’t read leave room for one that does', async (t) => {
  const server = await startServer(t, CACHE)
  const big = weights(20 * MIB, 1)
  t.equal((await server.put('acme/big/1', big)).status, 201)
  const lazy = Array.from({ length: 150 }, () => call(server))
  await Promise.all(
    lazy.map(async (caller, i) => {
      await caller.send(head(`GET ${fileUrl('acme/big/1')}`, `Range: bytes=${(i % 19) * MIB}-`))
      await caller.until('\r\n\r\n')
      caller.pause()
    }),
  )
  t.ok((await read(server, 'acme/big/1')).bytes?.equals(big), 'a whole file is read meanwhile')
  const other = weights(2 * MIB, 2)
  t.equal((await server.put('acme/small/1', other)).status, 201, 'another published')
  t.ok((await read(server, 'acme/small/1')).bytes?.equals(other), 'and read')
  for (const caller of lazy) caller.hangUp()
  t.ok((await read(server, 'acme/big/1')).bytes?.equals(big))
})

t.test('readers that stop reading are let go of', async (t) => {
  const server = impatient
  t.equal((await server.put('acme/big/1', weights(20 * MIB, 1))).status, 201)
  const caller = call(server)
  await caller.send(head(`GET ${fileUrl('acme/big/1')}`))
  await caller.until('\r\n\r\n')
  caller.pause()
  // Entered when the server has done with it.
  for (let items: unknown[] = []; items.length === 0;) {
    const audit = await server.request('/v1/audit?action=download')
    ;({ items } = (await audit.json()) as { items: unknown[] })
  }
  caller.resume()
  t.ok((await caller.closed).length < 20 * MIB, 'what it had not taken by then never comes')
})
