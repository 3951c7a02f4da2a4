// How fast bytes go in and out, as ratios to programs that do less: `openssl dgst -sha256` of the same file for
// publishing, nginx sending the same file unverified for downloads (`nginx` must be installed; without it only
// the first is measured). `node bench/throughput.ts --megabytes 1024 --rounds 5`. Rounds are interleaved; the
// median and the range are printed.

import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { makeSparse } from './support/sparse.ts'
import { startServer, TOKEN } from './support/server.ts'

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const run = promisify(execFile)

async function secondsOf(command: string, args: readonly string[]): Promise<number> {
  const began = performance.now()
  await run(command, [...args])
  return (performance.now() - began) / 1000
}

const curl = (url: string, ...args: readonly string[]): Promise<number> =>
  secondsOf('curl', [
    '-sSf',
    '-o',
    '/dev/null',
    '-H',
    `Authorization: Bearer ${TOKEN}`,
    ...args,
    url,
  ])

function report(what: string, ratios: readonly number[]): void {
  const sorted = ratios.toSorted((a, b) => a - b)
  const [least = NaN, median = NaN, most = NaN] = [0, sorted.length >> 1, sorted.length - 1].map(
    (i) => sorted[i],
  )
  console.log(
    `${what}: ${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)}, ${ratios.length} rounds)`,
  )
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** nginx with sendfile and two workers over the folder; undefined where there is none. */
async function startNginx(folder: string): Promise<{ url: string; stop: () => void } | undefined> {
  try {
    await run('nginx', ['-v'])
  } catch {
    console.log('nginx is not installed: downloads are not compared')
    return undefined
  }
  const port = await freePort()
  const config = join(folder, 'nginx.conf')
  await writeFile(
    config,
    `daemon off; worker_processes 2; pid ${folder}/nginx.pid; error_log stderr crit;
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http { access_log off; sendfile on; tcp_nopush off; server { listen 127.0.0.1:${port}; root ${folder}; } }\n`,
  )
  const child = spawn('nginx', ['-c', config, '-p', folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const url = `http://127.0.0.1:${port}`
  await run('curl', [
    '-s',
    '--retry',
    '20',
    '--retry-connrefused',
    '--retry-delay',
    '0',
    '-o',
    '/dev/null',
    url,
  ])
  return { url, stop: () => child.kill('SIGTERM') }
}

const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
const rounds = Array.from({ length: Number(values.rounds) }, (_, i) => i)
const source = join(folder, 'sparse.safetensors')
const size = await makeSparse(source, Number(values.megabytes) * 1024 * 1024)
const server = await startServer(folder)
const nginx = await startNginx(folder)
try {
  const publishing: number[] = []
  for (const round of rounds) {
    const hashing = await secondsOf('openssl', ['dgst', '-sha256', source])
    const putting = await curl(`${server.url}/v1/checkpoints/bench/t/${round}`, '-T', source)
    publishing.push(hashing / putting)
  }
  report('publish, to 201, of openssl’s speed', publishing)
  if (nginx !== undefined) {
    const file = `${server.url}/v1/checkpoints/bench/t/0/files/model.safetensors`
    // The cache is a quarter of this file or less, so each whole read is hashed anew; the range stays in it.
    const hot = `0-${Math.min(size, 128 * 1024 * 1024) - 1}`
    const cold: number[] = []
    const warm: number[] = []
    await curl(file, '-r', hot)
    for (let round = 0; round < rounds.length; round++) {
      cold.push((await curl(`${nginx.url}/sparse.safetensors`)) / (await curl(file)))
      await curl(file, '-r', hot)
      warm.push(
        (await curl(`${nginx.url}/sparse.safetensors`, '-r', hot)) / (await curl(file, '-r', hot)),
      )
    }
    report('whole download, verified anew, of nginx’s speed', cold)
    report('128 MiB range out of the verified cache, of nginx’s speed', warm)
  }
} finally {
  nginx?.stop()
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
