// What it takes to make a safetensors file of a checkpoint, beside torch: `npm run bench:migrate -- --python PYTHON`, where
// PYTHON has torch, numpy and safetensors. Checkpoints are made by torch (bench/migrate/make.py); each round converts one by
// us, in the process that a server or the command line starts for it, and by torch.load(weights_only=True) with save_file, in
// a fresh Python (bench/migrate/torch_convert.py), which of the two first in turns. Both files are synced. Ours has also hashed
// the checkpoint, checked its CRC-32s and compared each tensor that it wrote; torch does none of that. Ratios are of pairs.
// The first round is compared with torch bit for bit and not counted. Linux only: it reads /proc. Three times the largest
// file of disk; `--large` adds 5 GB.

import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { runJob } from '../src/pickle/job/run-job.ts'
import { memoryOf } from './support/memory.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    megabytes: { type: 'string', default: '10,100,1000' },
    rounds: { type: 'string', default: '7' },
    large: { type: 'boolean', default: false },
    folder: { type: 'string', default: tmpdir() },
  },
})
const sizes = [...values.megabytes.split(',').map(Number), ...(values.large ? [5000] : [])]
const rounds = Array.from({ length: Number(values.rounds) }, (_, i) => i)
const run = promisify(execFile)

const python = async (script: string, ...args: readonly string[]): Promise<string> =>
  (await run(values.python, [join(import.meta.dirname, 'migrate', script), ...args])).stdout

interface Cost {
  /** Of everything, the process's start included. */
  readonly seconds: number
  readonly peakMegabytes: number
}

interface TorchCost extends Cost {
  /** Without Python's own start and its imports. */
  readonly working: number
}

const LIMITS = { memoryBytes: 1024 ** 3, deadlineMs: 30 * 60_000 }
const LOOK_MS = 50

async function ours(from: string, to: string): Promise<Cost> {
  const [source, target] = [await open(from, 'r'), await open(to, 'w+')]
  let peakMegabytes = 0
  const look = setInterval(() => {
    memoryOf(process.pid).then(
      ([, ...children]) => {
        for (const { peak } of children) peakMegabytes = Math.max(peakMegabytes, peak || 0)
      },
      // It ended while it was looked at.
      () => undefined,
    )
  }, LOOK_MS)
  try {
    const { size } = await source.stat()
    const began = performance.now()
    const outcome = await runJob(
      { kind: 'convert', sizeBytes: size, root: undefined, writesTiedTwice: false, isOpaqueAllowed: false }, // prettier-ignore
      { source: source.fd, target: target.fd },
      LIMITS,
    )
    await target.sync()
    const seconds = (performance.now() - began) / 1000
    if (outcome.kind !== 'converted') throw new Error(JSON.stringify(outcome))
    return { seconds, peakMegabytes }
  } finally {
    clearInterval(look)
    await source.close()
    await target.close()
  }
}

async function torchs(from: string, to: string): Promise<TorchCost> {
  const began = performance.now()
  const told = JSON.parse(await python('torch_convert.py', from, to)) as {
    readonly load: number
    readonly save: number
    readonly sync: number
    readonly peak: number
  }
  const seconds = (performance.now() - began) / 1000
  const { load, save, sync, peak } = told
  return { seconds, working: load + save + sync, peakMegabytes: peak / 1e6 }
}

function spread(numbers: readonly number[], digits = 2): string {
  const sorted = numbers.toSorted((a, b) => a - b)
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) =>
    (sorted[i] ?? NaN).toFixed(digits),
  )
  return `${median} (${least} to ${most})`
}

async function compare(folder: string, megabytes: number): Promise<void> {
  const [from, ourFile, torchFile] = ['from.pt', 'ours.safetensors', 'torch.safetensors'].map(
    (name) => join(folder, name),
  ) as [string, string, string]
  const made = (await python('make.py', from, String(megabytes))).trim()
  const pairs: { readonly mine: Cost; readonly theirs: TorchCost }[] = []
  for (const round of [-1, ...rounds]) {
    await rm(ourFile, { force: true })
    await rm(torchFile, { force: true })
    const early = round % 2 === 0 ? undefined : await torchs(from, torchFile)
    const mine = await ours(from, ourFile)
    const theirs = early ?? (await torchs(from, torchFile))
    if (round >= 0) pairs.push({ mine, theirs })
    else await python('compare.py', from, ourFile, 'model_state_dict')
  }
  const each = (of: (pair: (typeof pairs)[number]) => number, digits?: number): string =>
    spread(pairs.map(of), digits)
  console.log(
    `\n${megabytes} MB ${made}, load ${loadavg()[0]?.toFixed(1) ?? ''}\n` +
      `  whole processes: ours × ${each(({ mine, theirs }) => mine.seconds / theirs.seconds)} of torch's time\n` +
      `  its imports aside: ours × ${each(({ mine, theirs }) => mine.seconds / theirs.working)} of torch's time\n` +
      `  seconds: ours ${each(({ mine }) => mine.seconds)}, torch ${each(({ theirs }) => theirs.seconds)}, without imports ${each(({ theirs }) => theirs.working)}\n` +
      `  at most resident, MB: ours ${each(({ mine }) => mine.peakMegabytes, 0)}, torch ${each(({ theirs }) => theirs.peakMegabytes, 0)}`,
  )
  await rm(from)
}

const [cpu] = /(?<=^model name\s*: ).*/m.exec(await readFile('/proc/cpuinfo', 'utf8')) ?? ['']
console.log(`Node ${process.version}, ${availableParallelism()} cores (${cpu}), ${rounds.length} rounds; median (least to most)`) // prettier-ignore
const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
try {
  for (const megabytes of sizes) await compare(folder, megabytes)
} finally {
  await rm(folder, { recursive: true, force: true })
}
