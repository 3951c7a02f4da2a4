// How fast a checkpoint goes in and out through huggingface_hub, beside curl with the registry's own API, as ratios of time:
// `npm run bench:hub -- --megabytes 1024 --rounds 5`. Each upload is of bytes that the server has never seen; uploads and
// downloads are interleaved, which one is first in turns. curl's time is that of its process, the client's that of
// the call, its imports aside. Server and clients share the machine. Python comes with its packages (hub-clients/python-env.ts).

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { pythonEnv, TEST_PINS } from './hub-clients/python-env.ts'
import { clientEnv } from './hub-clients/run-steps.ts'
import { startServer, TOKEN } from './support/server.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const run = promisify(execFile)
const megabytes = Number(values.megabytes)

const python = await pythonEnv(TEST_PINS)
const folder = await mkdtemp(join(values.folder, 'hub-throughput-'))
const server = await startServer(folder, { STRONGROOM_DETECTOR: '' })

async function script(name: string, args: readonly string[], env = process.env): Promise<string> {
  const path = new URL(`hub-throughput/${name}`, import.meta.url).pathname
  return (await run(join(python.bin, 'python'), [path, ...args], { env })).stdout
}

async function curl(url: string, ...args: readonly string[]): Promise<number> {
  const began = performance.now()
  await run('curl', ['-sSf', '-H', `Authorization: Bearer ${TOKEN}`, ...args, server.url + url])
  return (performance.now() - began) / 1000
}

let clients = 0
/** Every call in a home of its own: nothing of one is left for the next. */
async function client(
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<number> {
  const home = join(folder, `client-${clients++}`)
  const setting = { endpoint: server.url, token: TOKEN, folder: home, env }
  const seconds = Number(await script('client.py', args, clientEnv(python, setting)))
  await rm(home, { recursive: true, force: true })
  return seconds
}

/** The ways in, each the seconds that it took. */
const UPLOADS: Readonly<Record<string, (file: string, name: string) => Promise<number>>> = {
  curl: (file, name) => curl(`/v1/checkpoints/bench/${name}/1`, '-o', '/dev/null', '-T', file),
  LFS: (file, name) => client({ HF_HUB_DISABLE_XET: '1' }, 'upload', file, `bench/${name}`),
  Xet: (file, name) => client({}, 'upload', file, `bench/${name}`),
}

const DOWNLOADS: Readonly<Record<string, (name: string, target: string) => Promise<number>>> = {
  curl: (name, target) =>
    curl(`/v1/checkpoints/bench/${name}/latest/files/model.safetensors`, '-o', join(target, 'got')),
  client: (name, target) => client({}, 'download', `bench/${name}`, target),
}

/** The entries, another one first in each round. */
function inTurns<T>(
  ways: Readonly<Record<string, T>>,
  round: number,
): readonly (readonly [string, T])[] {
  const entries = Object.entries(ways)
  const first = round % entries.length
  return [...entries.slice(first), ...entries.slice(0, first)]
}

type Seconds = Readonly<Record<string, readonly number[]>>
const uploads: Record<string, number[]> = {}
const downloads: Record<string, number[]> = {}

async function measure(round: number): Promise<void> {
  for (const [i, [way, upload]] of inTurns(UPLOADS, round).entries()) {
    const file = join(folder, 'made.safetensors')
    await script('make.py', [file, String(megabytes), String(round * 10 + i)])
    ;(uploads[way] ??= []).push(await upload(file, `${way}-${round}`.toLowerCase()))
    await rm(file)
  }
  for (const [way, download] of inTurns(DOWNLOADS, round)) {
    const target = join(folder, 'got')
    await mkdir(target)
    ;(downloads[way] ??= []).push(await download(`curl-${round}`, target))
    await rm(target, { recursive: true })
  }
}

function spread(numbers: readonly number[]): string {
  const sorted = numbers.toSorted((a, b) => a - b)
  const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) =>
    (sorted[i] ?? NaN).toFixed(2),
  )
  return `${median} (${least} to ${most})`
}

function report(what: string, { curl: base = [], ...others }: Seconds): void {
  console.log(`${what}, curl: ${spread(base)} s`)
  for (const [way, seconds] of Object.entries(others)) {
    const ratios = seconds.map((taken, round) => taken / (base[round] ?? NaN))
    console.log(`${what}, ${way}: × ${spread(ratios)} of curl’s time, ${spread(seconds)} s`)
  }
}

try {
  for (let round = 0; round < Number(values.rounds); round++) await measure(round)
  console.log(`${megabytes} MiB, ${values.rounds} rounds, load ${loadavg()[0]?.toFixed(1) ?? ''}`)
  report('upload', uploads)
  report('download', downloads)
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
