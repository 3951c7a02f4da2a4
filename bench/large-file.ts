// What a very large file and very slow readers cost: `node bench/large-file.ts --gigabytes 20 --readers 64`.
// Starts a server of its own, publishes a sparse file, then downloads it whole while slow readers hang on to
// it, and prints the server's peak memory and the delay of its event loop. Linux only: it reads /proc.

import { createReadStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { request } from 'undici'
import { makeSparse } from './support/sparse.ts'
import { startServer, TOKEN } from './support/server.ts'

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '20' },
    readers: { type: 'string', default: '64' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const headers = { authorization: `Bearer ${TOKEN}` }
const SLOW_BYTES = 16 * 1024

/** The most memory that the process ever held, in MB of 10⁶ bytes. */
async function peakMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return (Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024) / 1e6
}

/** p99 of the event loop's delay since it was last asked, in ms. */
async function loopDelay(url: string): Promise<string> {
  const { body } = await request(`${url}/metrics`, { headers })
  const metrics = await body.text()
  const read = (name: 'p99' | 'max'): string => {
    const seconds = new RegExp(
      `^strongroom_nodejs_eventloop_lag_${name}_seconds (\\S+)$`,
      'm',
    ).exec(metrics)?.[1]
    return (Number(seconds) * 1000).toFixed(1)
  }
  return `p99 ${read('p99')} ms, longest ${read('max')} ms`
}

/** Asks for the whole file and then takes 16 KiB a second. */
function readSlowly(url: string, path: string, from: number): Socket {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${TOKEN}\r\nRange: bytes=${from}-\r\n\r\n`,
  )
  socket.pause()
  const timer = setInterval(() => {
    socket.read(SLOW_BYTES)
  }, 1000)
  socket.once('close', () => {
    clearInterval(timer)
  })
  return socket
}

async function timed(what: string, run: () => Promise<number>): Promise<void> {
  const began = performance.now()
  const bytes = await run()
  const seconds = (performance.now() - began) / 1000
  console.log(`${what}: ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`)
}

const folder = await mkdtemp(join(values.folder, 'strongroom-bench-'))
const server = await startServer(folder)
try {
  const source = join(folder, 'sparse.safetensors')
  const size = await makeSparse(source, Number(values.gigabytes) * 1e9)
  console.log(`Node ${process.version}, ${availableParallelism()} cores, a file of ${size} bytes`)
  console.log(`at start: ${(await peakMegabytes(server.pid)).toFixed(0)} MB`)
  await loopDelay(server.url)

  const version = '/v1/checkpoints/bench/large/1'
  await timed('publish', async () => {
    const answer = await request(server.url + version, {
      method: 'PUT',
      headers: { ...headers, 'content-length': String(size) },
      body: createReadStream(source, { highWaterMark: 1024 * 1024 }),
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    if (answer.statusCode !== 201) throw new Error(await answer.body.text())
    await answer.body.dump()
    return size
  })
  console.log(
    `peak so far: ${(await peakMegabytes(server.pid)).toFixed(0)} MB; loop delay ${await loopDelay(server.url)}`,
  )

  const path = `${version}/files/model.safetensors`
  const readers = Number(values.readers)
  const slow = Array.from({ length: readers }, (_, i) =>
    readSlowly(server.url, path, Math.floor((size / readers) * i)),
  )
  await setTimeout(2000)
  await timed(`download beside ${readers} slow readers`, async () => {
    const answer = await request(server.url + path, { headers })
    let received = 0
    for await (const chunk of answer.body) received += (chunk as Uint8Array).length
    if (received !== size) throw new Error(`${received} of ${size} bytes came`)
    return received
  })
  const alive = slow.filter((socket) => !socket.destroyed).length
  console.log(`slow readers still served: ${alive} of ${readers}`)
  console.log(
    `peak: ${(await peakMegabytes(server.pid)).toFixed(0)} MB; loop delay ${await loopDelay(server.url)}`,
  )
  for (const socket of slow) socket.destroy()
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
