// What one small tensor and one row of a large one cost, next to the whole file: `node bench/tensor-reads.ts --gigabytes 5`.
// Starts a server of its own and publishes a file of matrices, a small tensor after each. Every read is of a place that
// the server hasn't read before (the system's page cache may hold it). Prints medians and the middle 80 %, and the bytes
// that the server's process read for each. Linux only: it reads /proc.

import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { request } from 'undici'
import { makeSparseOf } from './support/sparse.ts'
import { startServer, TOKEN } from './support/server.ts'

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '5' },
    runs: { type: 'string', default: '20' },
    wholes: { type: 'string', default: '5' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const headers = { authorization: `Bearer ${TOKEN}` }
const runs = Number(values.runs)

const COLUMNS = 4096
/** So that a read of each run has a matrix and a small tensor of its own. */
const rows = Math.floor((Number(values.gigabytes) * 1e9) / (runs + 1) / (COLUMNS * 4))
const tensors = Array.from({ length: runs + 1 }, (_, i) => [
  { name: `layers.${i}.weight`, shape: [rows, COLUMNS] },
  { name: `layers.${i}.bias`, shape: [256] },
]).flat()

/** All that the process has read so far: files, sockets, its database. */
async function readBytes(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, 'utf8')
  return Number(/^rchar: (\d+)$/m.exec(io)?.[1])
}

interface Cost {
  readonly ms: number
  readonly read: number
}

async function costOf(pid: number, url: string, bytes: number): Promise<Cost> {
  const before = await readBytes(pid)
  const began = performance.now()
  const { statusCode, body } = await request(url, { headers })
  let received = 0
  for await (const chunk of body) received += (chunk as Uint8Array).length
  const ms = performance.now() - began
  if (statusCode !== 200 || received !== bytes)
    throw new Error(`${statusCode}: ${received} of ${bytes} bytes came`)
  return { ms, read: (await readBytes(pid)) - before }
}

function report(what: string, bytes: number, costs: readonly Cost[]): void {
  const spread = (numbers: readonly number[], digits: number): string => {
    const sorted = numbers.toSorted((a, b) => a - b)
    const [low, middle, high] = [0.1, 0.5, 0.9].map((share) =>
      (sorted[Math.round(share * (sorted.length - 1))] ?? NaN).toFixed(digits),
    )
    return `${middle} (${low} to ${high})`
  }
  const ms = costs.map((cost) => cost.ms)
  const mebibytes = costs.map(({ read }) => read / 2 ** 20)
  console.log(
    `${what}, ${bytes} bytes, ${costs.length} times: ${spread(ms, 1)} ms, ${spread(mebibytes, 2)} MiB read`,
  )
}

const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
const server = await startServer(folder)
try {
  const source = join(folder, 'sparse.safetensors')
  const size = await makeSparseOf(source, tensors)
  console.log(`Node ${process.version}, ${availableParallelism()} cores, a file of ${size} bytes`)
  const version = `${server.url}/v1/checkpoints/bench/tensors/1`
  const { statusCode, body } = await request(version, {
    method: 'PUT',
    headers: { ...headers, 'content-length': String(size) },
    body: createReadStream(source, { highWaterMark: 1024 * 1024 }),
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  if (statusCode !== 201) throw new Error(await body.text())
  await body.dump()

  const { pid } = server
  const series = async (what: string, bytes: number, urlOf: (i: number) => string) => {
    // The first goes through code that has never run.
    await costOf(pid, urlOf(runs), bytes)
    const costs: Cost[] = []
    for (let i = 0; i < runs; i++) costs.push(await costOf(pid, urlOf(i), bytes))
    report(what, bytes, costs)
  }
  const tensorUrl = (name: string): string => `${version}/tensor?name=${name}`
  await series('a small tensor', 1024, (i) => tensorUrl(`layers.${i}.bias`))
  const row = Math.floor(rows / 2)
  await series('a row of a matrix', COLUMNS * 4, (i) =>
    tensorUrl(`layers.${i}.weight&slice=${row}`),
  )
  await series('a column of a matrix', rows * 4, (i) => tensorUrl(`layers.${i}.weight&slice=:,7`))
  const wholes: Cost[] = []
  for (let i = 0; i < Number(values.wholes); i++)
    wholes.push(await costOf(pid, `${version}/files/model.safetensors`, size))
  report('the whole file', size, wholes)
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
