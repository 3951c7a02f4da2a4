import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ADMIN } from '../helpers/server.ts'

const BIN = join(import.meta.dirname, '../../bin/strongroom.js')

/** Without what tap makes a child measure: it triples the time that a start takes. */
const PLAIN = ['env', '-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE']

/** A server in a process of its own, which can be killed. */
export interface ChildServer {
  readonly url: string
  /** `kill -9`, and the end of the process awaited. */
  readonly kill: () => Promise<void>
}

/** Starts `strongroom serve` on a folder, by way of `launcher` where one is given (`['unshare', …]`). */
export async function startChild(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
  launcher: readonly string[] = [],
): Promise<ChildServer> {
  const [program, ...args] = [...launcher, ...PLAIN, process.execPath, BIN, 'serve']
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      STRONGROOM_PORT: '0',
      STRONGROOM_VAULT: join(folder, 'data/vault'),
      STRONGROOM_LEDGER: join(folder, 'data/ledger'),
      STRONGROOM_ADMIN_TOKEN: ADMIN,
      STRONGROOM_CACHE_BYTES: '16MiB',
      STRONGROOM_DISK_FLOOR_BYTES: '0',
      STRONGROOM_DETECTOR: '',
      STRONGROOM_HASH_WORKERS: '2',
      ...settings,
    },
  })
  const ended = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line) as { msg: string; url?: string }
    if (said.msg !== 'listening') continue
    child.stdout.resume()
    return {
      url: said.url ?? '',
      kill: async () => {
        child.kill('SIGKILL')
        await ended
      },
    }
  }
  throw new Error('the server ended before it listened')
}
