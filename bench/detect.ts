// What detection costs: `npm run bench:detect -- --python PYTHON`, where PYTHON has training/requirements-presidio.txt.
// Texts of 500 code points of the repository's own in five languages, sent over HTTP to a server as it starts by
// itself, and the same texts given to Presidio in turns, in its own process, without HTTP. Then the time of a full
// window in the engine, alone and in batches, and the memory of server and detector together. Linux only: it reads /proc.

import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SETTINGS } from '../src/config.ts'
import { type DetectorFile, readDetector, SHIPPED } from './support/detector-file.ts'
import { startTimedEngine } from './support/engine.ts'
import { memoryOf } from './support/memory.ts'
import { LANGUAGES, ownTexts } from './support/own-texts.ts'
import { type Presidio, startPresidio } from './support/presidio.ts'
import { startServer, TOKEN } from './support/server.ts'
import { spread, throughput, timed } from './support/timing.ts'

const { values } = parseArgs({
  options: {
    detector: { type: 'string', default: SHIPPED },
    python: { type: 'string', default: 'python3' },
    texts: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '10' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const seconds = Number(values.seconds)
const CODE_POINTS = 500
const REF = { path: 'bench/detector/1.0', text: 'bench/detector@1.0' }

const texts = new Map(
  LANGUAGES.map((language) => [language, ownTexts(language, CODE_POINTS, Number(values.texts))]),
)
const allTexts = [...texts.values()].flat()

interface Server {
  readonly pid: number
  readonly detect: (body: { text: string } | { texts: readonly string[] }) => Promise<void>
  readonly stop: () => Promise<void>
}

const headers = { authorization: `Bearer ${TOKEN}` }

async function startDetecting(folder: string, { bytes }: DetectorFile): Promise<Server> {
  const { url, pid, stop } = await startServer(folder, { STRONGROOM_DETECTOR: REF.text })
  const body = Uint8Array.from(bytes)
  await answered(fetch(`${url}/v1/checkpoints/${REF.path}`, { method: 'PUT', headers, body }))
  console.log(`provider: ${await untilServing(url)}`)
  return {
    pid,
    stop,
    detect: async (asked) => {
      await answered(
        fetch(`${url}/detect`, {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json' },
          body: JSON.stringify(asked),
        }),
      )
    },
  }
}

async function answered(asked: Promise<Response>): Promise<unknown> {
  const answer = await asked
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`)
  return JSON.parse(text)
}

interface Slot {
  readonly state: string
  readonly provider?: string
  readonly problem: { readonly why: string } | null
}

/** The provider. */
async function untilServing(url: string): Promise<string> {
  for (;;) {
    const { items } = (await answered(fetch(`${url}/detect/models`, { headers }))) as {
      items: readonly Slot[]
    }
    const [slot] = items
    if (slot?.provider !== undefined) return slot.provider
    if (slot?.state === 'failed') throw new Error(slot.problem?.why)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function compareLatency(server: Server, presidio: Presidio | undefined): Promise<void> {
  console.log(`\none caller, texts of ${CODE_POINTS} code points:`)
  const every = { ours: [] as number[], theirs: [] as number[] }
  for (const [language, some] of texts) {
    const ours: number[] = []
    const theirs: number[] = []
    for (const text of some) {
      ours.push((await timed(() => server.detect({ text }))).ms)
      if (presidio !== undefined) theirs.push(await presidio.find(text))
    }
    print(language, ours, theirs)
    every.ours.push(...ours)
    every.theirs.push(...theirs)
  }
  print('all', every.ours, every.theirs)
}

function print(name: string, ours: readonly number[], theirs: readonly number[]): void {
  const beside = theirs.length === 0 ? '' : `; Presidio ${spread(theirs)}`
  console.log(`  ${name}: ${ours.length} texts, ${spread(ours)}${beside}`)
}

async function measureThroughput(server: Server): Promise<void> {
  console.log('\nmany callers, one text a request:')
  for (const callers of [1, 8, 32]) {
    const rate = await throughput(allTexts, callers, seconds, (text) => server.detect({ text }))
    console.log(`  ${callers}: ${rate.toFixed(1)} texts/s`)
  }
  const batch = allTexts.filter((_, i) => i % Math.ceil(allTexts.length / 32) === 0)
  const rate = await throughput(batch, 1, seconds, () => server.detect({ texts: batch }))
  console.log(
    `  1, with ${batch.length} texts a request: ${(rate * batch.length).toFixed(1)} texts/s`,
  )
}

/** With as many processes as there are cores: Presidio uses one. */
async function measurePresidio(python: string, first: Presidio): Promise<void> {
  const more = Array.from({ length: availableParallelism() - 1 }, () => startPresidio(python))
  const all = [first, ...(await Promise.all(more)).filter((each) => each !== undefined)]
  const rate = await throughput(allTexts, all.length, seconds, async (text, caller) =>
    all[caller]?.find(text),
  )
  console.log(`  Presidio, ${all.length} processes: ${rate.toFixed(1)} texts/s`)
  for (const each of all) each.close()
}

async function tellMemory(server: Server): Promise<void> {
  console.log('\nresident, what is cached included:')
  const processes = await memoryOf(server.pid)
  const sum = processes.reduce((total, each) => total + each.megabytes, 0)
  for (const { name, megabytes, peak } of processes)
    console.log(`  ${name}: ${megabytes.toFixed(0)} MB, at most ${peak.toFixed(0)} MB`)
  console.log(`  together: ${sum.toFixed(0)} MB`)
}

async function measureEngine(file: DetectorFile): Promise<void> {
  const threads = SETTINGS.DETECT_THREADS.fallback
  console.log(`\nin the engine, full windows, ${threads} threads:`)
  for (const batchChunks of [1, SETTINGS.DETECT_BATCH_CHUNKS.fallback]) {
    const engine = await startTimedEngine(file, 'cpu', { threads, batchChunks })
    // All but the last window of a long text are full.
    const long = ownTexts('en', 10_000, 2)
    await engine.detect(long)
    engine.msAChunk()
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      await engine.detect(long)
      times.push(engine.msAChunk())
    }
    console.log(`  batches of ${batchChunks}: a window ${spread(times)} (of 5 rounds)`)
    await engine.close()
  }
}

console.log(
  `Node ${process.version}, ${availableParallelism()} cores of ${cpus()[0]?.model ?? '?'}`,
)
const file = readDetector(values.detector)
const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
const presidio = await startPresidio(values.python)
if (presidio === undefined)
  console.error(
    `\nNO COMPARISON WITH PRESIDIO: ${values.python} hasn't got it. Name one that has with --python.\n`,
  )
const server = await startDetecting(folder, file)
try {
  for (const text of allTexts.slice(0, 5)) await server.detect({ text })
  await compareLatency(server, presidio)
  await measureThroughput(server)
  if (presidio !== undefined) await measurePresidio(values.python, presidio)
  await tellMemory(server)
} finally {
  presidio?.close()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
await measureEngine(file)
