import fc from 'fast-check'
import t from 'tap'
import { validate } from '../../src/safetensors/stream.ts'
import { startServer, type TestServer } from '../helpers/server.ts'
import { deface, flip, MIB, read, weights, whereInVault } from './hostile.ts'

// On a machine with more to do.
t.setTimeout(120_000)

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

type Range = readonly [from: number, to: number]

/** The parts of a multipart/byteranges body, in order, one after the other. */
function partsOf(body: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const headEnd = body.indexOf('\r\n\r\n', at)
    if (headEnd === -1) return Buffer.concat(parts)
    const [, from, to] = /bytes (\d+)-(\d+)\//.exec(body.toString('latin1', at, headEnd)) ?? []
    at = headEnd + 4 + Number(to) - Number(from) + 1
    parts.push(body.subarray(headEnd + 4, at))
  }
}

/** What a reader of these ranges holds in the end: the right bytes, an error, or less than was announced. */
async function attempt(
  server: TestServer,
  ref: string,
  right: Uint8Array,
  ranges: readonly Range[],
): Promise<string> {
  const range = ranges.map(([from, to]) => `${from}-${to}`).join(',')
  const { status, bytes, code } = await read(
    server,
    ref,
    ranges.length === 0 ? {} : { range: `bytes=${range}` },
  )
  if (bytes === undefined) return code ?? 'nothing'
  const wanted = Buffer.concat(ranges.map(([from, to]) => right.subarray(from, to + 1)))
  const isRight =
    status === 206
      ? (ranges.length === 1 ? bytes : partsOf(bytes)).equals(wanted)
      : bytes.equals(right)
  return isRight ? 'right' : 'WRONG BYTES'
}

t.test('a flipped bit in any region is never read, whole, by range or by ranges', async (t) => {
  const right = weights(3.25 * MIB, 7)
  const { columns, dataBegin } = validate(right)
  const regions = [0, 7, 8, dataBegin - 1, right.length - 1]
  for (let i = 0; i < columns.count; i++) {
    const [begin = 0, end = 0] = [columns.begins[i], columns.ends[i]]
    regions.push(begin, Math.floor((begin + end) / 2), end - 1)
  }
  const last = right.length - 1
  for (const [i, position] of regions.entries()) {
    const around: Range = [Math.max(0, position - 3), Math.min(last, position + 3)]
    const far: Range = position > right.length / 2 ? [0, 9] : [last - 9, last]
    const both = [far, around].sort(([a], [b]) => a - b)
    for (const ranges of [[around], i % 2 === 0 ? [] : both]) {
      // Publishing again makes a fresh copy, which no cache knows.
      t.ok((await server.put('acme/flip/1', right)).ok)
      deface(await whereInVault(server, 'acme/flip/1'), flip(position, i % 8))
      const outcome = await attempt(server, 'acme/flip/1', right, ranges)
      t.match(
        outcome,
        /^(INTEGRITY_FAILURE|CUT_OFF)$/,
        `byte ${position}, ${ranges.length} ranges: ${outcome}`,
      )
    }
  }
})

t.test('flipped bits anywhere, with a cold or a hot cache, never come out as bytes', async (t) => {
  const right = weights(3.25 * MIB, 8)
  const last = right.length - 1
  const position = fc.integer({ min: 0, max: last })
  const range = fc.tuple(position, position).map(([a, b]): Range => (a < b ? [a, b] : [b, a]))
  const ranges = fc.array(range, { maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(position, { minLength: 1, maxLength: 4 }),
      ranges,
      fc.boolean(),
      async (flips, ranges, isHot) => {
        if (!(await server.put('acme/flips/1', right)).ok) throw new Error('not published')
        const path = await whereInVault(server, 'acme/flips/1')
        if (isHot && (await attempt(server, 'acme/flips/1', right, ranges)) !== 'right')
          return false
        for (const at of flips) deface(path, flip(at, at % 8))
        const outcome = await attempt(server, 'acme/flips/1', right, ranges)
        return ['right', 'INTEGRITY_FAILURE', 'CUT_OFF'].includes(outcome)
      },
    ),
    { numRuns: Number(process.env['STRONGROOM_TEST_FLIPS'] ?? 15), seed: 20261122 },
  )
  t.pass('every read gave the right bytes, an error, or broke off')
})
