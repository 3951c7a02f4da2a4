import fc from 'fast-check'
import t from 'tap'
import { parseSlice, SliceError } from '../../src/safetensors/slice.ts'
import { bytesOfSlice, type Cover } from '../../src/safetensors/strides.ts'

/** The indices that a slice takes of each dimension, and the shape that comes of it. */
function taken(text: string, shape: readonly number[]) {
  const slice = parseSlice(text, shape)
  return {
    indices: slice.taken.map(({ start, step, count }) =>
      Array.from({ length: count }, (_, i) => start + i * step),
    ),
    shape: slice.shape,
  }
}

t.test('one dimension is sliced as Python slices a list', async (t) => {
  // What `list(range(10))[…]` gives.
  for (const [text, indices] of [
    [':', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['::', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['0:10', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['2:5', [2, 3, 4]],
    ['-3:', [7, 8, 9]],
    [':-7', [0, 1, 2]],
    ['-3:-1', [7, 8]],
    ['::3', [0, 3, 6, 9]],
    ['1::4', [1, 5, 9]],
    ['1:9:4', [1, 5]],
    ['::100', [0]],
    ['-100:2', [0, 1]],
    ['8:100', [8, 9]],
    ['100:', []],
    [':-100', []],
    ['5:2', []],
    ['5:5', []],
    ['-0:2', [0, 1]],
    [' 2 : 5 ', [2, 3, 4]],
    ['2:5:', [2, 3, 4]],
    ['2:5,', [2, 3, 4]],
    ['- 3:', [7, 8, 9]],
    ['9999999999999999:', []],
    ['-9999999999999999:2', [0, 1]],
    ['1:9999999999999999:9999999999999999', [1]],
  ] as const) {
    t.strictSame(taken(text, [10]), { indices: [indices], shape: [indices.length] }, text)
  }
})

t.test('integers drop their dimension, and what a slice does not reach is whole', async (t) => {
  for (const [text, indices, shape] of [
    ['1', [[1], [0, 1, 2], [0, 1]], [3, 2]],
    ['-1', [[3], [0, 1, 2], [0, 1]], [3, 2]],
    ['-4,2,-1', [[0], [2], [1]], []],
    ['1,:,1', [[1], [0, 1, 2], [1]], [3]],
    [
      '...',
      [
        [0, 1, 2, 3],
        [0, 1, 2],
        [0, 1],
      ],
      [4, 3, 2],
    ],
    ['...,1', [[0, 1, 2, 3], [0, 1, 2], [1]], [4, 3]],
    ['1,...', [[1], [0, 1, 2], [0, 1]], [3, 2]],
    ['1,...,0', [[1], [0, 1, 2], [0]], [3]],
    ['1,1:,...,0', [[1], [1, 2], [0]], [2]],
    ['1:2,1', [[1], [1], [0, 1]], [1, 2]],
    [' 1 , ... , 0 ,', [[1], [0, 1, 2], [0]], [3]],
  ] as const) {
    t.strictSame(taken(text, [4, 3, 2]), { indices, shape }, text)
  }
  t.strictSame(taken('...', []), { indices: [], shape: [] }, 'all of a scalar')
  t.strictSame(taken('...,', []), { indices: [], shape: [] })
  t.strictSame(taken(':,0', [0, 2]), { indices: [[], [0]], shape: [0] })
})

t.test('what is no slice of the tensor is refused, naming the dimension', async (t) => {
  for (const [text, shape, dimension] of [
    ['10', [10], 0],
    ['-11', [10], 0],
    [':,3', [4, 3, 2], 1],
    ['...,2', [4, 3, 2], 2],
    ['0', [0], 0],
    ['9999999999999999', [10], 0],
    ['::0', [10], 0],
    [':,::-1', [4, 3], 1],
    ['...,1:0:-1', [4, 3], 1],
    ['0,0,0', [4, 3], 2],
    [':,:,:,...', [4, 3], 2],
    ['0', [], 0],
    [':', [], 0],
    ['', [], 0],
    ['', [10], 0],
    [' ', [10], 0],
    [',', [10], 0],
    ['0,,1', [4, 3, 2], 1],
    [',0', [4, 3], 0],
    ['...,...', [4, 3], 0],
    ['0,...,...', [4, 3], 1],
    ['....', [4], 0],
    ['..', [4], 0],
    ['1:2:3:4', [4], 0],
    ['1.0', [4], 0],
    ['1e0', [4], 0],
    ['0x1', [4], 0],
    ['1_0', [4], 0],
    ['007', [10], 0],
    ['--1', [4], 0],
    ['1 2', [40], 0],
    ['None', [4], 0],
    ['True', [4], 0],
    ['[0]', [4], 0],
    ['(0)', [4], 0],
    ['٣', [4], 0],
    ['10000000000000000:', [4], 0],
    [':'.repeat(5000), [4], 0],
    [`${' '.repeat(5000)}0`, [4], 0],
  ] as const) {
    t.throws(
      () => parseSlice(text, shape),
      { name: 'SliceError', problem: 'invalid', dimension },
      JSON.stringify([text.slice(0, 20), shape]),
    )
  }
})

/** What the covers take of a file, whose bytes are known by their position. */
function positionsOf(covers: Iterable<Cover>): readonly number[] {
  const positions: number[] = []
  for (const cover of covers) {
    let before = cover.begin - 1
    for (const { from, length, stride, count } of cover.runs) {
      for (let i = 0; i < count; i++) {
        for (let j = 0; j < length; j++) {
          const position = from + i * stride + j
          if (position <= before || position >= cover.end)
            throw new Error(`${position} is out of order, or out of its cover`)
          before = position
          positions.push(position)
        }
      }
    }
    if (before !== cover.end - 1) throw new Error('a cover ends with what is wanted')
  }
  return positions
}

/** The same by going through every element that there is. */
function naively(
  text: string,
  shape: readonly number[],
  elementBytes: number,
  begin: number,
): readonly number[] {
  const { indices } = taken(text, shape)
  let elements = [0]
  indices.forEach((some, dimension) => {
    elements = elements.flatMap((element) =>
      some.map((index) => element * (shape[dimension] ?? 0) + index),
    )
  })
  return elements.flatMap((element) =>
    Array.from({ length: elementBytes }, (_, i) => begin + element * elementBytes + i),
  )
}

const bound = fc.option(fc.integer({ min: -7, max: 7 }), { nil: '' })
const part = fc.oneof(
  fc.constant(':'),
  fc
    .tuple(bound, bound, fc.constantFrom('', ':', ':1', ':2', ':3'))
    .map(([a, b, c]) => `${a}:${b}${c}`),
  fc.integer({ min: -2, max: 1 }).map(String),
)
const dimension = fc.tuple(fc.integer({ min: 0, max: 5 }), part)
const sliced = fc
  .array(dimension, { maxLength: 4 })
  .chain((dimensions) =>
    fc.record({
      shape: fc.constant(dimensions.map(([size]) => size)),
      text: fc
        .nat(dimensions.length)
        .map((reached) =>
          [...dimensions.slice(0, reached).map(([, part]) => part), '...'].join(','),
        ),
    }),
  )
  .filter(({ shape, text }) => isSlice(text, shape))

function isSlice(text: string, shape: readonly number[]): boolean {
  try {
    parseSlice(text, shape)
    return true
  } catch (error) {
    if (error instanceof SliceError) return false
    throw error
  }
}

t.test(
  'a slice, and any part of it, is the bytes that a loop over all elements gives',
  async () => {
    fc.assert(
      fc.property(
        sliced,
        fc.constantFrom(8, 16, 32, 64),
        fc.integer({ min: 1, max: 60 }),
        fc.tuple(fc.nat(), fc.nat()),
        ({ shape, text }, bits, gap, [a, b]) => {
          const slice = parseSlice(text, shape)
          const bytes = bytesOfSlice(slice, shape, bits, 100)
          const right = naively(text, shape, bits / 8, 100)
          t.strictSame(positionsOf(bytes.covers(0, bytes.size, gap)), right)
          t.equal(bytes.size, right.length)
          t.equal(
            slice.shape.reduce((product, dim) => product * dim, bits / 8),
            right.length,
          )
          const [begin = 0, end = 0] = [a, b]
            .map((at) => at % (right.length + 1))
            .sort((x, y) => x - y)
          t.strictSame(positionsOf(bytes.covers(begin, end, gap)), right.slice(begin, end))
        },
      ),
      { seed: 20_261_122, numRuns: 2000 },
    )
  },
)

t.test('elements of less than a byte are sliced where that falls on whole bytes', async (t) => {
  for (const [bits, shape, text, positions] of [
    [4, [4, 4], '1', [2, 3]],
    [4, [4, 4], ':,2:4', [1, 3, 5, 7]],
    [4, [4, 4], '::2,0:2', [0, 4]],
    [4, [4, 4], '1,1:1', []],
    [4, [2, 3], '...', [0, 1, 2]],
    [4, [3, 2, 3], '::2', [0, 1, 2, 6, 7, 8]],
    [6, [2, 4], '1', [3, 4, 5]],
    [6, [8], '4:', [3, 4, 5]],
  ] as const) {
    const bytes = bytesOfSlice(parseSlice(text, shape), shape, bits, 0)
    t.strictSame(positionsOf(bytes.covers(0, bytes.size, 100)), positions, `${bits} ${text}`)
  }
  for (const [bits, shape, text, dimension] of [
    [4, [4, 4], '0,0', 1],
    [4, [4, 4], ':,1:3', 1],
    [4, [4, 4], ':,::2', 1],
    [4, [2, 3], '1', 0],
    [4, [2, 3], ':,0:2', 1],
    [6, [8], '2:', 0],
    [6, [8], ':2', 0],
    [6, [4, 2], '::2', 0],
  ] as const) {
    t.throws(
      () => bytesOfSlice(parseSlice(text, shape), shape, bits, 0),
      { name: 'SliceError', problem: 'not_on_bytes', dimension },
      `${bits} ${text}`,
    )
  }
})

t.test(
  'a cover has no gap in which a whole chunk could lie, and none is left between two',
  async (t) => {
    const covers = (text: string, shape: readonly number[], gap: number) => {
      const bytes = bytesOfSlice(parseSlice(text, shape), shape, 8, 0)
      return [...bytes.covers(0, bytes.size, gap)].map(({ begin, end }) => [begin, end])
    }
    t.strictSame(covers('2:4', [10, 10], 100), [[20, 40]])
    t.strictSame(covers(':,3', [4, 10], 10), [[3, 34]], 'a column')
    t.strictSame(
      covers(':,3', [4, 10], 9),
      [
        [3, 4],
        [13, 14],
        [23, 24],
        [33, 34],
      ],
      'far apart',
    )
    t.strictSame(covers('::2,:,0', [4, 3, 10], 10), [
      [0, 21],
      [60, 81],
    ])
    t.strictSame(covers('::2,:,0', [4, 3, 10], 40), [[0, 81]])
  },
)

t.test('a slice of billions of runs is laid out at once, from any place in it', async (t) => {
  const shape = [2 ** 20, 2 ** 20]
  const bytes = bytesOfSlice(parseSlice('::2,::2', shape), shape, 16, 0)
  t.equal(bytes.size, 2 ** 39)
  const [last] = bytes.covers(bytes.size - 2, bytes.size, 2 ** 20)
  const end = (2 ** 20 - 2) * 2 ** 21 + (2 ** 20 - 2) * 2 + 2
  t.match(last, { begin: end - 2, end })
})
