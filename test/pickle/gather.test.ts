import fc from 'fast-check'
import t from 'tap'
import { createViewReader } from '../../src/pickle/gather.ts'
import type { Source } from '../../src/pickle/source.ts'
import type { View } from '../../src/pickle/views.ts'
import { refusal, withSource } from './converting.ts'

const STORAGE = { kind: 'storage', key: '0', dtype: undefined, count: 0n } as const
const BEGIN = 5

function viewIn(elementBytes: number, shape: number[], strides: number[], offset = 0): View {
  const sizeBytes = shape.reduce((product, size) => product * size, elementBytes)
  return { storage: STORAGE, dtype: 'U8', elementBytes, beginByte: offset * elementBytes, shape, strides, sizeBytes } // prettier-ignore
}

const extentOf = ({ shape, strides, elementBytes, beginByte }: View): number =>
  beginByte + elementBytes * shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] ?? 0), 1)

/** Element by element, as one would write it down. */
function* elementsOf({ shape, strides, elementBytes, beginByte }: View): Generator<number> {
  const count = shape.reduce((product, size) => product * size, 1)
  for (let i = 0; i < count; i += 1) {
    let [rest, at] = [i, beginByte]
    for (let dim = shape.length - 1; dim >= 0; dim -= 1) {
      const size = shape[dim] ?? 1
      at += (rest % size) * (strides[dim] ?? 0) * elementBytes
      rest = Math.floor(rest / size)
    }
    yield at
  }
}

/** @returns all pieces, copied: each is gone when the next is asked for */
function read(source: Source, view: View): Buffer {
  const pieces: Buffer[] = []
  for (const piece of createViewReader(source)(BEGIN, view)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

function content(bytes: number): Buffer {
  const found = Buffer.alloc(BEGIN + bytes)
  for (let i = 0; i + 4 <= found.length; i += 4) found.writeUInt32LE((i * 2_654_435_761) >>> 0, i)
  return found
}

const dimension = fc.record({ size: fc.nat(6), stride: fc.nat(40) })
const view = fc
  .record({
    dimensions: fc.array(dimension, { maxLength: 5 }),
    elementBytes: fc.constantFrom(1, 2, 4, 8),
    offset: fc.nat(20),
  })
  .map(
    ({ dimensions, elementBytes, offset }) =>
    viewIn(elementBytes, dimensions.map(({ size }) => size), dimensions.map(({ stride }) => stride), offset), // prettier-ignore
  )

t.test('any view gives its elements, row by row', async (t) => {
  const bytes = content(20_000)
  withSource(bytes, (source) => {
    fc.assert(
      fc.property(view, (view) => {
        const wanted = [...elementsOf(view)].map((at) =>
          bytes.subarray(BEGIN + at, BEGIN + at + view.elementBytes),
        )
        return read(source, view).equals(Buffer.concat(wanted))
      }),
      { seed: 20_261_123, numRuns: 2000 },
    )
  })
  t.pass()
})

/** Of 16 MiB and more, so that blocks end inside of rows, or rows inside of blocks. */
const LARGE: Readonly<Record<string, View>> = {
  'in order': viewIn(8, [2_200_000], [1]),
  transposed: viewIn(8, [1500, 1501], [1, 1500]),
  'in steps': viewIn(8, [2_200_000], [2]),
  'in rows with a gap': viewIn(8, [1500, 1500], [1600, 1]),
  'one row too many': viewIn(8, [2, 2 * 1024 * 1024 + 1], [2 * 1024 * 1024 + 2, 1]),
  permuted: viewIn(8, [130, 135, 140], [1, 130 * 140, 130]),
  'one element everywhere': viewIn(8, [3, 800_000], [0, 0], 7),
  'rows again and again': viewIn(8, [1100, 2000], [0, 1]),
}

t.test('views larger than what is read at once are whole', async (t) => {
  for (const [what, view] of Object.entries(LARGE)) {
    const bytes = content(extentOf(view))
    const found = withSource(bytes, (source) => read(source, view))
    t.equal(found.length, view.sizeBytes, what)
    let [at, wrong] = [0, 0]
    for (const from of elementsOf(view)) {
      if (found.compare(bytes, BEGIN + from, BEGIN + from + view.elementBytes, at, at + view.elementBytes) !== 0) wrong += 1 // prettier-ignore
      at += view.elementBytes
    }
    t.equal(wrong, 0, what)
  }
})

t.test('no piece is larger than 16 MiB, and none of it is held', async (t) => {
  const view = viewIn(1, [100_000, 1000], [0, 0])
  withSource(content(1), (source) => {
    const buffers = new Set<ArrayBufferLike>()
    let bytes = 0
    for (const piece of createViewReader(source)(BEGIN, view)) {
      t.ok(piece.length <= 16 * 1024 * 1024)
      buffers.add(piece.buffer)
      bytes += piece.length
    }
    t.equal(bytes, 100_000_000)
    t.equal(buffers.size, 1)
  })
})

t.test('elements that lie close are read together, however they are ordered', async (t) => {
  const bytes = content(4_000_000)
  withSource(bytes, (source) => {
    let reads = 0
    const counting: Source = {
      ...source,
      fill: (buffer, begin) => {
        reads += 1
        source.fill(buffer, begin)
      },
    }
    read(counting, viewIn(4, [1000, 1000], [1, 1000]))
    t.equal(reads, 1)
    reads = 0
    read(counting, viewIn(1, [60, 60, 60], [16_411, 16_417, 16_427]))
    t.ok(reads < 100, `${reads} reads`)
  })
})

t.test('reads of scattered elements have a budget', async (t) => {
  // 40^6 elements, each 17 MiB or more from the next, of a file that is hardly there.
  const sizes = Array.from({ length: 6 }, () => 40)
  const strides = sizes.map((_, i) => 17 * 1024 * 1024 + i)
  const sparse: Source = { sizeBytes: 1, take: () => Buffer.alloc(0), fill: () => undefined }
  const view = viewIn(1, sizes, strides)
  const act = (): void => {
    const reader = createViewReader(sparse)
    for (const piece of reader(BEGIN, view)) t.ok(piece.length)
  }
  t.match(refusal(act), /^limit: its tensors lie too scattered/)
})
