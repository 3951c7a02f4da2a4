import t from 'tap'
import { createBatcher, type Job } from '../../../src/detect/engine/batcher.ts'

/** Units of so many chunks each, named `NAME.UNIT.CHUNK`. */
function job(name: string, units: readonly number[], failed: unknown[] = []): Job<string> {
  let next = 0
  return {
    next: () => {
      const count = units[next]
      next += 1
      if (count === undefined) return undefined
      if (count < 0) throw new Error(name)
      return Array.from({ length: count }, (_, i) => `${name}.${next}.${i + 1}`)
    },
    fail: (error) => failed.push(error),
  }
}

function collect(batchChunks: number) {
  const batches: string[][] = []
  let ran = 0
  let told: () => void = () => undefined
  const batcher = createBatcher<string>({
    batchChunks,
    batchWaitMs: 0,
    run: (batch) => {
      batches.push(batch.map(({ chunk }) => chunk))
      ran += batch.length
      told()
      return Promise.resolve()
    },
  })
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      told = () => {
        if (ran >= count) resolve()
      }
      told()
    })
  return { batcher, batches, until }
}

t.test('jobs take turns, a chunk each, whatever they have', async (t) => {
  const { batcher, batches, until } = collect(4)
  batcher.add(job('long', [6]))
  batcher.add(job('short', [1]))
  batcher.add(job('two', [1, 1]))
  await until(9)
  t.strictSame(batches, [
    ['long.1.1', 'short.1.1', 'two.1.1', 'long.1.2'],
    ['two.2.1', 'long.1.3', 'long.1.4', 'long.1.5'],
    ['long.1.6'],
  ])
})

t.test('units without chunks, and jobs without units, hold nobody up', async (t) => {
  const { batcher, batches, until } = collect(8)
  batcher.add(job('none', []))
  batcher.add(job('blank', [0, 0, 1]))
  await until(1)
  t.strictSame(batches, [['blank.3.1']])
  batcher.add(job('later', [1]))
  await until(2)
  t.equal(batches.length, 2)
})

t.test('a job whose unit can’t be read is told, and others go on', async (t) => {
  const { batcher, batches, until } = collect(8)
  const failed: unknown[] = []
  batcher.add(job('bad', [1, -1], failed))
  batcher.add(job('good', [1, 1]))
  await until(3)
  t.strictSame(batches.flat().sort(), ['bad.1.1', 'good.1.1', 'good.2.1'])
  t.match(failed, [{ message: 'bad' }])
})

t.test('of a job that was dropped nothing more runs', async (t) => {
  const { batcher, batches, until } = collect(1)
  const dropped = job('dropped', [50, 50])
  batcher.add(dropped)
  batcher.add(job('other', [3]))
  await until(2)
  batcher.drop(dropped)
  await until(4)
  const count = batches.flat().filter((name) => name.startsWith('dropped')).length
  t.ok(count <= 3, String(count))
  t.equal(batches.flat().filter((name) => name.startsWith('other')).length >= 1, true)
})
