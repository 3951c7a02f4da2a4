// What statistics cost: `node bench/statistics.ts --megabytes 192 --rounds 41`. First one thread alone, CPU time of
// statistics next to SHA-256 of the same bytes; then a server, time to 201 of the same bytes published as floats and as
// integers, which have no statistics. Rounds are interleaved, and many rather
// than long, since a busy machine changes its pace; medians and ranges are printed. Linux only: it reads /proc.

import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { createStatistics } from '../src/hashing/statistics.ts'
import { createSummingUnit } from '../src/hashing/summing.ts'
import { DTYPES } from '../src/safetensors/dtypes.ts'
import { startServer, TOKEN } from './support/server.ts'
import { makeWeights, type WeightDtype, weightsOf } from './support/weights.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '192' },
    rounds: { type: 'string', default: '41' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const bytes = Number(values.megabytes) * 1024 * 1024
const rounds = Array.from({ length: Number(values.rounds) }, (_, i) => i)
const run = promisify(execFile)

function spread(numbers: readonly number[], digits = 2): string {
  const sorted = numbers.toSorted((a, b) => a - b)
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) =>
    (sorted[i] ?? NaN).toFixed(digits),
  )
  return `${median} (${least} to ${most})`
}

/** CPU seconds a gigabyte of 10⁹ bytes, of this process. */
function cpuOf(work: () => number): number {
  const before = process.cpuUsage()
  const gigabytes = work() / 1e9
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6 / gigabytes
}

const SLOT_BYTES = 1024 * 1024
const ALONE_SLOTS = 256

/** As a worker does it: a large tensor goes by in shared memory, a slot at a time. */
function measureAlone(dtype: WeightDtype): void {
  const block = weightsOf(dtype)
  const slot = new Uint8Array(new SharedArrayBuffer(SLOT_BYTES))
  const unit = createSummingUnit()
  const size = ALONE_SLOTS * SLOT_BYTES
  const columns = {
    begins: Float64Array.of(0),
    ends: Float64Array.of(size),
    dtypes: Uint8Array.of(DTYPES.findIndex(({ name }) => name === dtype)),
  }
  const eachSlot = (take: (position: number) => void): number => {
    for (let at = 0; at < size; at += SLOT_BYTES) take(at)
    return size
  }
  const hashing: number[] = []
  const summing: number[] = []
  for (const round of [-1, ...rounds]) {
    slot.set(block.subarray(0, SLOT_BYTES))
    const statistics = createStatistics(columns, unit)
    const sum = cpuOf(() =>
      eachSlot((position) => {
        statistics.update(slot, position)
      }),
    )
    const sha = cpuOf(() => eachSlot(() => hash('sha256', slot, 'buffer')))
    // The first one warms up.
    if (round < 0) continue
    summing.push(sum)
    hashing.push(sha)
  }
  const ratios = summing.map((sum, i) => sum / (hashing[i] ?? NaN))
  console.log(
    `${dtype} alone: ${spread(summing, 3)} CPU s/GB, SHA-256 ${spread(hashing, 3)}, ratio ${spread(ratios)}`,
  )
}

interface Cost {
  readonly seconds: number
  /** User and system time of the whole server. */
  readonly cpu: number
}

/** In the hundredths of a second that Linux counts in. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function publish(url: string, pid: number, file: string): Promise<Cost> {
  const before = await cpuSeconds(pid)
  const began = performance.now()
  const authorization = `Authorization: Bearer ${TOKEN}`
  await run('curl', ['-sSf', '-o', '/dev/null', '-H', authorization, '-T', file, url])
  const seconds = (performance.now() - began) / 1000
  return { seconds, cpu: (await cpuSeconds(pid)) - before }
}

async function comparePublishing(
  folder: string,
  { float, integer, elementBytes }: { float: WeightDtype; integer: string; elementBytes: number },
): Promise<void> {
  const server = await startServer(folder)
  try {
    const block = weightsOf(float)
    const files = { floats: join(folder, 'floats'), integers: join(folder, 'integers') }
    const size = await makeWeights(files.floats, bytes, block, float, elementBytes)
    await makeWeights(files.integers, bytes, block, integer, elementBytes)
    const costs: { readonly floats: Cost; readonly integers: Cost }[] = []
    const put = (kind: 'floats' | 'integers', round: number): Promise<Cost> =>
      publish(`${server.url}/v1/checkpoints/bench/${kind}/${round}`, server.pid, files[kind])
    for (const round of [-1, ...rounds]) {
      // Each goes first as often as the other.
      const early = round % 2 === 0 ? undefined : await put('integers', round + 1)
      const floats = await put('floats', round + 1)
      const integers = early ?? (await put('integers', round + 1))
      if (round >= 0) costs.push({ floats, integers })
    }
    const ratios = costs.map(({ floats, integers }) => floats.seconds / integers.seconds)
    const cpu = costs.map(({ floats, integers }) => (floats.cpu - integers.cpu) / (size / 1e9))
    const base = costs.map(({ integers }) => integers.cpu / (size / 1e9))
    console.log(
      `${float} next to ${integer}, ${size} bytes: time to 201 × ${spread(ratios)}; ` +
        `${spread(cpu)} CPU s/GB more than ${spread(base)}`,
    )
  } finally {
    await server.stop()
  }
}

console.log(`Node ${process.version}, ${availableParallelism()} cores, ${rounds.length} rounds`)
for (const dtype of ['F64', 'F32', 'BF16', 'F16', 'F8_E4M3'] as const) measureAlone(dtype)
for (const pair of [
  { float: 'F32', integer: 'I32', elementBytes: 4 },
  { float: 'BF16', integer: 'I16', elementBytes: 2 },
  { float: 'F8_E4M3', integer: 'U8', elementBytes: 1 },
] as const) {
  const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
  try {
    await comparePublishing(folder, pair)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
