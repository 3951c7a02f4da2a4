import t from 'tap'
import { planOf } from '../../src/pickle/plan.ts'
import type { Tensor } from '../../src/pickle/values.ts'
import { refusal } from './converting.ts'

const tensor = (
  dtype: 'float32' | 'uint8' | 'float64',
  key: string,
  ...shape: bigint[]
): Tensor => {
  const storage = { kind: 'storage', key, dtype, count: 4n } as const
  return { kind: 'tensor', storage, dtype, offset: 0n, shape, strides: shape.map(() => 1n) }
}

const OPTIONS = { writesTiedTwice: false, maxDataBytes: 1000 }

function plan(
  tensors: Readonly<Record<string, Tensor>>,
  options = {},
  scalars: [string, string][] = [],
) {
  const named = Object.entries(tensors).map(([name, tensor]) => ({ name, tensor }))
  return planOf({ root: '', tensors: named, scalars, dropped: [] }, { ...OPTIONS, ...options })
}

t.test('tensors lie by the size of their numbers, then by name', async (t) => {
  const tensors = { c: tensor('uint8', '0', 4n), b: tensor('float32', '1', 4n), a: tensor('float32', '2', 4n), d: tensor('float64', '3', 4n) } // prettier-ignore
  const { tensors: planned, dataBytes } = plan(tensors)
  t.strictSame(planned.map(({ name }) => name), ['d', 'a', 'b', 'c']) // prettier-ignore
  t.equal(dataBytes, 32 + 16 + 16 + 4)
})

t.test('of tied weights the first by name is kept', async (t) => {
  const tensors = { b: tensor('float32', '0', 4n), a: tensor('float32', '0', 4n), c: tensor('float32', '1', 4n) } // prettier-ignore
  const { tensors: kept, tied, metadata, dataBytes } = plan(tensors, {}, [['epoch', '3']])
  t.strictSame(kept.map(({ name }) => name), ['a', 'c']) // prettier-ignore
  t.strictSame([...tied], [['b', 'a']])
  t.strictSame(Object.fromEntries(metadata), { b: 'a', epoch: '3', format: 'pt' })
  t.equal(dataBytes, 32)
  const twice = plan(tensors, { writesTiedTwice: true })
  t.strictSame([twice.tensors.length, twice.tied.size, twice.dataBytes], [3, 0, 48])
})

t.test('a weight named as the metadata’s format is not told there', async (t) => {
  const tensors = { a: tensor('float32', '0', 4n), format: tensor('float32', '0', 4n) }
  const { tensors: kept, metadata } = plan(tensors)
  t.strictSame(kept.map(({ name }) => name), ['a', 'format']) // prettier-ignore
  t.strictSame(Object.fromEntries(metadata), { format: 'pt' })
})

t.test('what would be written has a limit: sixteen bytes can claim gigabytes', async (t) => {
  const bomb: Tensor = { ...tensor('float32', '0', 2n ** 40n), strides: [0n] }
  t.match(
    refusal(() => plan({ bomb })),
    /^limit: its tensors would be 4398046511104 bytes/,
  )
  t.equal(plan({ a: { ...bomb, shape: [250n] } }).dataBytes, 1000)
  t.match(
    refusal(() => plan({ a: { ...bomb, shape: [251n] } })),
    /^limit: /,
  )
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`t${i}`, { ...bomb, offset: BigInt(i % 4), shape: [BigInt(i + 2)] }])) // prettier-ignore
  t.match(
    refusal(() => plan(many)),
    /^limit: /,
    'all together',
  )
})
