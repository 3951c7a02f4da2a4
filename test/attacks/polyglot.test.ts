import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { startChild } from './child-server.ts'
import { blobsOf, fileUrl, read, staged, verdict, weights } from './hostile.ts'
import { pickles, zip } from './pickles.ts'

// On a machine with more to do.
t.setTimeout(120_000)

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const pickle = pickles('true')[2] ?? Buffer.alloc(0)

t.test('a valid file with another format hidden beside its tensors is refused', async (t) => {
  const valid = weights(4096)
  const archive = zip('archive/data.pkl', pickle, valid.length)
  const hidden = zip('archive/data.pkl', pickle, 0)
  const tensors = (begin: number): string => `{${u8('a', 0, 8)},${u8('b', begin, begin + 8)}}`
  const attacks: readonly [string, Uint8Array, string][] = [
    ['an archive behind the last tensor', Buffer.concat([valid, archive]), 'trailing_bytes'],
    ['a pickle behind the last tensor', Buffer.concat([valid, pickle]), 'trailing_bytes'],
    ['one byte behind the last tensor', Buffer.concat([valid, Buffer.alloc(1)]), 'trailing_bytes'],
    [
      'an archive between two tensors',
      rawFile(
        tensors(8 + hidden.length),
        Buffer.concat([Buffer.alloc(8), hidden, Buffer.alloc(8)]),
      ),
      'gap',
    ],
    [
      'an archive before the first tensor',
      rawFile(
        `{${u8('a', hidden.length, hidden.length + 8)}}`,
        Buffer.concat([hidden, Buffer.alloc(8)]),
      ),
      'gap',
    ],
    [
      "an archive in the header's padding",
      rawFile(Buffer.concat([Buffer.from(`{${u8('a', 0, 8)}}    `), hidden]), 8),
      'header_not_json',
    ],
    [
      "a pickle in the header's padding",
      rawFile(Buffer.concat([Buffer.from(`{${u8('a', 0, 8)}}`), pickle]), 8),
      'header_not_json',
    ],
    ['two tensors that share bytes', rawFile(tensors(4), 12), 'overlap'],
  ]
  for (const [what, bytes, reason] of attacks) {
    t.match(await verdict(await server.put('acme/bert/1', bytes)), { status: 422, reason }, what)
    const { body, headers } = chunked(bytes)
    const answer = await server.request('/v1/checkpoints/acme/bert/1', {
      token: ADMIN,
      method: 'PUT',
      body,
      headers,
      duplex: 'half',
    })
    t.match(await verdict(answer), { status: 422, reason }, `${what}, of unknown length`)
  }
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

/*
 * The first 8 bytes of a file are the header's length, and some lengths are also another format's magic. Such a
 * file is valid safetensors, so it is taken for what it is: its bytes come back exact, as octets to be saved, and
 * nothing here ever loads them as anything else.
 */
t.test('a length that happens to be another magic is a length', async (t) => {
  const lengths: readonly [string, number][] = [
    ['80 02 28 00: PROTO 2, MARK', 0x00280280],
    ['55 fe 00 00: SHORT_BINSTRING, up to the middle of the metadata', 0x0000fe55],
  ]
  for (const [i, [what, length]] of lengths.entries()) {
    const header = `{"__metadata__":{"note":"${'.'.repeat(400)}cos"},${u8('a', 0, 8)}}`.padEnd(
      length,
    )
    const bytes = rawFile(header, 8)
    t.equal((await server.put(`acme/bert/${i}`, bytes)).status, 201, what)
    const answer = await read(server, `acme/bert/${i}`)
    t.ok(answer.bytes?.equals(bytes), 'its bytes come back exact')
  }
})

t.test('a length that says PK is judged like every other', async (t) => {
  const server = await startChild(t.testdir())
  t.teardown(server.kill)
  const headers = { authorization: `Bearer ${ADMIN}` }
  // 67 MB of header, as "PK\x03\x04" says; then an archive that begins in it and ends the last tensor.
  const length = 0x04034b50
  const hidden = zip('archive/data.pkl', pickle, 8 + length)
  const entry = `{${u8('a', 0, hidden.length)}}`
  async function* body() {
    yield Buffer.concat([rawFile(entry, 0, BigInt(length))])
    for (let left = length - entry.length; left > 0; left -= 65536)
      yield Buffer.alloc(Math.min(left, 65536), 0x20)
    yield hidden
  }
  const answer = await fetch(`${server.url}/v1/checkpoints/acme/pk/1`, {
    headers,
    method: 'PUT',
    body: body(),
    duplex: 'half',
  })
  t.equal(answer.status, 201)
  const served = await fetch(`${server.url}${fileUrl('acme/pk/1')}`, {
    headers: { ...headers, range: 'bytes=0-8' },
  })
  t.match(Object.fromEntries(served.headers), {
    'content-type': 'application/octet-stream',
    'x-content-type-options': 'nosniff',
    'content-disposition': /^attachment/,
  })
  t.equal(Buffer.from(await served.arrayBuffer()).toString('latin1'), 'PK\x03\x04\0\0\0\0{')
})

function chunked(bytes: Uint8Array): {
  body: ReadableStream<Uint8Array>
  headers: Record<string, string>
} {
  return { body: new Blob([Uint8Array.from(bytes)]).stream(), headers: {} }
}
