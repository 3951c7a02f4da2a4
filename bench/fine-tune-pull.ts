// What a fine-tune costs to fetch for who has its base: a transformer's head is trained (bench/fine-tune/train.py,
// which needs Python with numpy and safetensors), both versions are published, and the second is pulled with
// `--base` the first. `node bench/fine-tune-pull.ts`. Bytes on the wire are those of all answers, lists of hashes
// and of tensors included.

import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { startServer, TOKEN } from './support/server.ts'

const run = promisify(execFile)
const COMMAND = new URL('../bin/strongroom.js', import.meta.url).pathname

interface Pulled {
  readonly fetched_bytes: number
  readonly reused_bytes: number
}

/** Stands before the registry and counts what it answers. */
async function countingProxy(
  registry: string,
): Promise<{ url: string; answeredBytes: () => number; stop: () => void }> {
  const { hostname, port } = new URL(registry)
  let bytes = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    upstream.on('data', (chunk) => (bytes += chunk.length))
    void pipeline(client, upstream, client).catch(() => undefined)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port: own } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${own}`,
    answeredBytes: () => bytes,
    stop: () => server.close(),
  }
}

const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-'))
const script = new URL('fine-tune/train.py', import.meta.url).pathname
const { stdout } = await run('python3', [script, folder])
console.log(`trained: ${stdout.trim()}`)
const server = await startServer(folder)
const strongroom = async (url: string, ...args: readonly string[]): Promise<string> =>
  (await run(process.execPath, [COMMAND, ...args, '--url', url, '--token', TOKEN])).stdout
try {
  for (const name of ['base', 'tuned']) {
    const file = join(folder, `${name}.safetensors`)
    await strongroom(server.url, 'push', file, `bench/probe@${name}`, '--path', 'model.safetensors')
  }
  const { size } = await stat(join(folder, 'tuned.safetensors'))
  const here = join(folder, 'here')
  await mkdir(here)
  for (const [what, args] of [
    ['the whole', []],
    ['with --base', ['--base', 'base']],
  ] as const) {
    await copyFile(join(folder, 'base.safetensors'), join(here, 'model.safetensors'))
    const proxy = await countingProxy(server.url)
    const pull = ['pull', 'bench/probe@tuned', '-o', here, '--json', ...args]
    const pulled = JSON.parse(await strongroom(proxy.url, ...pull)) as Pulled
    proxy.stop()
    const share = ((100 * proxy.answeredBytes()) / size).toFixed(2)
    console.log(
      `${what}: ${size} bytes, of which ${pulled.fetched_bytes} fetched and ${pulled.reused_bytes} from the base; ` +
        `${proxy.answeredBytes()} bytes on the wire, ${share} % of the file`,
    )
  }
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
