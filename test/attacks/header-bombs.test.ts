import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { startChild } from './child-server.ts'
import { blobsOf, call, head, MIB, staged, verdict } from './hostile.ts'

// On a machine with more to do.
t.setTimeout(120_000)

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const CAP = 100_000_000
const PIECE = 64 * 1024

/** A body of `bytes` in all that is made while it is sent, and how much of it the server took. */
function endless(first: string, filler: string, bytes: number) {
  const pieces = { taken: 0 }
  const rest = Buffer.from(filler.repeat(Math.ceil(PIECE / filler.length)))
  async function* body() {
    yield rawFile(first, 0, BigInt(bytes))
    for (; pieces.taken < bytes; pieces.taken += rest.length) yield rest
  }
  return { body: body(), pieces }
}

const publish = (
  server: { readonly url: string },
  body: AsyncIterable<Uint8Array>,
): Promise<Response> =>
  fetch(`${server.url}/v1/checkpoints/acme/bomb/1`, {
    headers: { authorization: `Bearer ${ADMIN}` },
    method: 'PUT',
    body,
    duplex: 'half',
  })

t.test('100 MB of nested braces are refused at the first that has no place', async (t) => {
  for (const [what, first, filler, reason] of [
    ['braces in braces', '{"a":{', '{', 'header_not_json'],
    ['objects in objects', '{"a":', '{"a":', 'tensor_entry_invalid'],
    ['arrays in a shape', '{"a":{"dtype":"U8","shape":', '[', 'header_not_json'],
    ['objects in metadata', '{"__metadata__":{"a":', '{"a":', 'metadata_not_strings'],
    ['dimensions without end', '{"a":{"dtype":"U8","shape":[1', ',1', 'shape_invalid'],
  ] as const) {
    const { body, pieces } = endless(first, filler, CAP)
    const answer = await verdict(await publish(server, body))
    t.match(answer, { status: 422, reason }, what)
    t.ok(pieces.taken < 16 * MIB, `${what}: not much more than the socket's buffers was sent`)
  }
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

t.test(
  'headers of 100 MB that never come take no more memory than is set aside for them',
  async (t) => {
    const drips = Array.from({ length: 4 }, () => call(server))
    const start = rawFile('{"__metadata__":{"a":"', 0, BigInt(CAP))
    for (const [i, caller] of drips.entries()) {
      await caller.send(
        head(`PUT /v1/checkpoints/acme/drip/${i}`, `Content-Length: ${CAP + 8}`),
        start,
      )
      if (i >= 2)
        t.match(await caller.until('\r\n\r\n'), / 429 /, 'the third and fourth are sent away')
      else while (staged(server).length <= i) await fetch(`${server.url}/livez`)
    }
    t.equal(
      (await server.put('acme/other/1', rawFile(`{${u8('a', 0, 8)}}`, 8))).status,
      201,
      'others are served',
    )
    for (const caller of drips) caller.hangUp()
    while (staged(server).length > 0) await fetch(`${server.url}/livez`)
    t.pass('and what the drips left is gone once they are')
  },
)

t.test('metadata without end is refused', async (t) => {
  const metadata = `{"__metadata__":{"a":"${'x'.repeat(2 * MIB)}"},${u8('a', 0, 8)}}`
  const answer = await verdict(await server.put('acme/giant/1', rawFile(metadata, 8)))
  t.match(answer, { status: 422, code: 'METADATA_REFUSED' }, 'metadata of 2 MiB')
  const keys = Array.from({ length: 200_000 }, (_, i) => `"${i}":""`).join(',')
  const bytes = rawFile(`{"__metadata__":{${keys}},${u8('a', 0, 8)}}`, 8)
  t.match(await verdict(await server.put('acme/keys/1', bytes)), { status: 422 }, '200,000 keys')
  t.same(staged(server), [], 'nothing stayed')
})

/** A header of one-byte tensors, in pieces: more than any one string would be pleasant to hold. */
function tinyEntries(count: number): readonly Buffer[] {
  const pieces = [Buffer.from('{')]
  for (let from = 0; from < count; from += 10_000) {
    let text = from === 0 ? '' : ','
    for (let i = from; i < Math.min(from + 10_000, count); i++) {
      if (i > from) text += ','
      text += `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`
    }
    pieces.push(Buffer.from(text))
  }
  return [...pieces, Buffer.from('}')]
}

t.test('1,000,000 tiny entries and one more are judged while others are served', async (t) => {
  const server = await startChild(t.testdir())
  t.teardown(server.kill)
  const pieces = tinyEntries(1_000_001)
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  async function* body() {
    yield rawFile('', 0, BigInt(length))
    yield* pieces
  }
  let served = 0
  const state = { over: false }
  const bomb = publish(server, body()).finally(() => {
    state.over = true
  })
  while (!state.over) {
    if ((await fetch(`${server.url}/livez`)).status === 200) served += 1
  }
  t.match(await verdict(await bomb), { status: 422, reason: 'too_many_tensors' })
  t.ok(served > 5, `${served} others were answered meanwhile`)
})
