import t from 'tap'
import type { DtypeName } from '../../src/pickle/dtypes.ts'
import type { Storage, Tensor } from '../../src/pickle/values.ts'
import { isContiguous, tieOf, viewOf } from '../../src/pickle/views.ts'
import { refusal } from './converting.ts'

interface Facts {
  readonly dtype?: DtypeName
  readonly storage?: Partial<Storage>
  readonly offset?: bigint
  readonly shape?: readonly bigint[]
  readonly strides?: readonly bigint[]
}

function tensor({ dtype = 'float32', storage, ...facts }: Facts): Tensor {
  const whole = { kind: 'storage', key: '0', dtype: 'float32', count: 12n, ...storage } as const
  return { kind: 'tensor', dtype, offset: 0n, shape: [], strides: [], ...facts, storage: whole }
}

const view = (facts: Facts) => viewOf('w', tensor(facts))
const refused = (facts: Facts): string => refusal(() => view(facts))

t.test('a tensor inside its storage is a view in bytes', async (t) => {
  const { storage, ...rest } = view({ offset: 2n, shape: [2n, 3n], strides: [3n, 1n] })
  t.equal(storage.key, '0')
  t.strictSame(rest, {
    dtype: 'F32',
    elementBytes: 4,
    beginByte: 8,
    shape: [2, 3],
    strides: [3, 1],
    sizeBytes: 24,
  })
  t.equal(view({ offset: 11n }).sizeBytes, 4, 'a scalar at the end')
  t.equal(view({ shape: [2n, 2n], strides: [10n, 1n] }).sizeBytes, 16, 'up to the last element')
  t.equal(
    view({ shape: [1n], strides: [2n ** 50n] }).sizeBytes,
    4,
    'a stride that is never stepped',
  )
  t.equal(view({ shape: [1000n], strides: [0n] }).sizeBytes, 4000, 'one element many times')
  t.equal(view({ offset: 99n, shape: [0n], strides: [1n] }).beginByte, 0, 'nothing lies nowhere')
  t.equal(
    view({ dtype: 'uint16', storage: { dtype: undefined, count: 4n }, offset: 1n }).beginByte,
    2,
  )
})

t.test('what reaches beyond its storage is refused', async (t) => {
  const beyond: Facts[] = [
    { offset: 12n },
    { offset: 2n ** 64n },
    { shape: [13n], strides: [1n] },
    { offset: 1n, shape: [12n], strides: [1n] },
    { shape: [2n, 3n], strides: [10n, 1n] },
    { shape: [2n], strides: [12n] },
    { shape: [2n], strides: [2n ** 63n] },
    { shape: [2n ** 32n, 2n ** 32n], strides: [1n, 1n] },
    { storage: { count: 0n } },
    { dtype: 'float64', storage: { dtype: undefined, count: 7n } },
    { dtype: 'uint16', storage: { dtype: undefined, count: 4n }, offset: 2n },
  ]
  for (const facts of beyond) t.match(refused(facts), /^tensor: the tensor "w" reaches beyond/)
})

t.test(
  'negative numbers, sizes without strides and dtypes without a name are refused',
  async (t) => {
    for (const facts of [
      { offset: -1n },
      { offset: 3n, shape: [2n], strides: [-1n] },
      { shape: [-1n], strides: [1n] },
      { shape: [-1n, -1n], strides: [1n, 1n] },
    ])
      t.match(refused(facts), /has a negative offset, size or stride/)
    t.match(refused({ shape: [1n] }), /has 1 dimensions and 0 strides/)
    t.match(refused({ strides: [1n] }), /has 0 dimensions and 1 strides/)
    for (const dtype of ['complex128', 'complex32', 'qint8', 'quint4x2'] as const)
      t.match(refused({ dtype }), `is of ${dtype}, which safetensors does not have`)
  },
)

t.test('numbers that are not exact are refused', async (t) => {
  t.match(refused({ shape: [2n ** 60n], strides: [0n] }), /larger than any file/)
  t.match(refused({ shape: [2n ** 27n, 2n ** 27n], strides: [0n, 0n] }), /larger than any file/)
  t.match(refused({ shape: [0n, 2n ** 53n], strides: [1n, 1n] }), /larger than any file/)
  t.match(refused({ shape: [0n], strides: [1n], offset: 2n ** 70n }), /larger than any file/)
})

t.test('what lies in order is copied as it is', async (t) => {
  const of = (shape: bigint[], strides: bigint[]): boolean => isContiguous(view({ shape, strides }))
  t.ok(of([], []))
  t.ok(of([2n, 3n], [3n, 1n]))
  t.ok(of([1n, 3n], [99n, 1n]))
  t.ok(of([3n, 1n, 2n], [2n, 77n, 1n]))
  t.ok(of([0n, 5n], [7n, 9n]))
  t.notOk(of([2n, 3n], [1n, 2n]))
  t.notOk(of([2n, 3n], [4n, 1n]))
  t.notOk(of([3n], [2n]))
  t.notOk(of([3n], [0n]))
})

t.test('tied are the same elements of the same storage in the same order', async (t) => {
  const whole = { shape: [2n, 3n], strides: [3n, 1n] }
  const tie = tieOf(view(whole))
  t.equal(tieOf(view({ ...whole })), tie)
  for (const other of [
    { ...whole, offset: 1n },
    { ...whole, storage: { key: '1' } },
    { ...whole, strides: [1n, 2n] },
    { shape: [3n, 2n], strides: [2n, 1n] },
    { shape: [6n], strides: [1n] },
  ])
    t.not(tieOf(view(other)), tie)
  t.equal(
    tieOf(view({ shape: [1n, 3n], strides: [3n, 1n] })),
    tieOf(view({ shape: [1n, 3n], strides: [1n, 1n] })),
  )
  t.equal(tieOf(view({ shape: [0n], strides: [1n] })), undefined, 'nothing is tied to nothing')
})
