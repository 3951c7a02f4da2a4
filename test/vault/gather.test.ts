import fc from 'fast-check'
import t from 'tap'
import type { Runs } from '../../src/safetensors/strides.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { type BlobCover, gather } from '../../src/vault/gather.ts'
import { dice, MIB } from '../attacks/hostile.ts'
import { startServer } from '../helpers/server.ts'

const roll = dice(3)
const bytes = Uint8Array.from({ length: 5 * MIB }, () => roll() * 256)
const file = writeSafetensors([{ name: 'w', dtype: 'U8', shape: [bytes.length], bytes }])
const server = await startServer(t, { STRONGROOM_CACHE_BYTES: '16MiB' })
await server.put('acme/a/1', file)
const { ledger, readVerified: read } = server.strongroom
const found = await ledger.resolve('acme', 'a', '1')
const [stored] = await ledger.filesOf(found?.version.id ?? 0)
if (stored === undefined) throw new Error('it was published')
const { blob } = stored

const contextOf = (path: string) => ({ path, subject: 'acme/a@1', revision: 'r' })

/** Runs one after the other, and the stretch that holds them. */
function coverOf(path: string, from: number, runs: readonly Omit<Runs, 'from'>[]): BlobCover {
  let at = from
  const placed: Runs[] = []
  for (const { length, stride, count } of runs) {
    if (at + count * stride > file.length) break
    placed.push({ from: at, length, stride, count })
    at += count * stride
  }
  const last = placed.at(-1)
  const end = last === undefined ? from : last.from + (last.count - 1) * last.stride + last.length
  return { blob, context: contextOf(path), begin: from, end, runs: placed }
}

const wantedOf = ({ runs }: BlobCover): readonly Uint8Array[] =>
  [...runs].flatMap(({ from, length, stride, count }) =>
    Array.from({ length: count }, (_, i) =>
      file.subarray(from + i * stride, from + i * stride + length),
    ),
  )

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<readonly Buffer[]> {
  const copies: Buffer[] = []
  for await (const piece of pieces) copies.push(Buffer.from(piece))
  return copies
}

// Around the lengths at which copying begins and ends.
const length = fc.oneof(
  fc.integer({ min: 1, max: 70 }),
  fc.integer({ min: 65_500, max: 65_600 }),
  fc.integer({ min: 1, max: 1.5 * MIB }),
)
const runs = fc.record({ length, gap: length, count: fc.integer({ min: 1, max: 50 }) })
const cover = fc.record({
  path: fc.constantFrom('a', 'b'),
  from: fc.nat(3 * MIB),
  runs: fc.array(
    runs.map(({ length, gap, count }) => ({ length, stride: length + gap, count })),
    { minLength: 1, maxLength: 6 },
  ),
})

t.test('what comes out is the runs, in order, and each file is told its share', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(cover, { maxLength: 6 }), async (specs) => {
      const covers = specs
        .map(({ path, from, runs }) => coverOf(path, from, runs))
        .filter(({ begin, end }) => end > begin)
      const taken = new Map<string, number>()
      const pieces = await collect(gather(read, covers, taken))
      const right = Buffer.concat(covers.flatMap(wantedOf))
      if (!Buffer.concat(pieces).equals(right)) return false
      return ['a', 'b'].every((path) => {
        const own = covers.filter(({ context }) => context.path === path).flatMap(wantedOf)
        return (taken.get(path) ?? 0) === own.reduce((sum, { length }) => sum + length, 0)
      })
    }),
    { seed: 20_261_122, numRuns: 150 },
  )
  t.pass('every byte was where it should be')
})

t.test('few bytes of many leaves go out before all leaves are read', async (t) => {
  // Each cover is one byte in a leaf of its own.
  const covers = Array.from({ length: 64 }, (_, i) =>
    coverOf('a', (i % 5) * MIB + i, [{ length: 1, stride: 1, count: 1 }]),
  )
  const pieces = await collect(gather(read, covers))
  t.strictSame(
    pieces.map((piece) => piece.length),
    [16, 16, 16, 16],
  )
})

t.test('a reader who stops in the middle holds nothing', async (t) => {
  const pieces = gather(read, [coverOf('a', 0, [{ length: 100, stride: 300, count: 15_000 }])])
  await pieces.next()
  await pieces.return()
  const metrics = await (await server.request('/metrics')).text()
  t.match(metrics, /^strongroom_pinned_slots 0$/m)
})
