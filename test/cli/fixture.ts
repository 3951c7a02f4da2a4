import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { writeSafetensors } from '../../src/safetensors/write.ts'

const COMMAND = join(import.meta.dirname, '../../bin/strongroom.js')

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

type Environment = Readonly<Record<string, string>>

/** Starts the command as a user's shell does; standard output and error are pipes, and so is an input that there is. */
export function start(
  args: readonly string[],
  env: Environment = {},
  cwd?: string,
  input?: string | Uint8Array,
): Running {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // Who needs no input may be gone before it is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const exit = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const ended = Promise.all([exit, text(child.stdout), text(child.stderr)]).then(
    ([[code, signal], stdout, stderr]) => ({ code, signal, stdout, stderr }),
  )
  return { kill: (signal) => child.kill(signal), ended }
}

export const run = (args: readonly string[], env?: Environment, cwd?: string): Promise<Ended> =>
  start(args, env, cwd).ended

/** The same with something to read. */
export const pipe = (
  input: string | Uint8Array,
  args: readonly string[],
  env?: Environment,
): Promise<Ended> => start(args, env, undefined, input).ended

/** A file of one tensor whose bytes differ from place to place. */
export function fileOf(
  tensorBytes: number,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const bytes = Buffer.alloc(tensorBytes)
  for (let i = 0; i < tensorBytes; i += 1) bytes[i] = (i * 31 + (i >> 10)) & 0xff
  return writeSafetensors([{ name: 'w', dtype: 'U8', shape: [tensorBytes], bytes }], metadata)
}

export interface Closing {
  readonly teardown: (close: () => Promise<unknown>) => void
}

interface Relay {
  readonly url: string
  /** Bytes of files, with their headers, that went to the client. */
  readonly fileBytes: () => number
  /** Lets everything through from now on. */
  readonly open: () => void
  /** Resolves when the limit is reached for the first time. */
  readonly reached: Promise<void>
}

/** Stands between a client and a registry, and stalls or cuts downloads of files after so many bytes. */
export async function relayTo(
  t: Closing,
  registry: string,
  limit: { readonly afterBytes: number; readonly then: 'stall' | 'cut' },
): Promise<Relay> {
  const { hostname, port } = new URL(registry)
  const sockets = new Set<Socket>()
  let fileBytes = 0
  let isOpen = false
  let reach: () => void = () => undefined
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    let isFile = false
    let passed = 0
    client.on('data', (chunk) => {
      if (chunk.includes('/files/')) isFile = true
      upstream.write(chunk)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
    upstream.on('data', (chunk) => {
      const room = isFile && !isOpen ? limit.afterBytes - passed : Infinity
      const some = chunk.subarray(0, Math.max(0, room))
      passed += some.length
      if (isFile) fileBytes += some.length
      client.write(some)
      if (some.length === chunk.length) return
      reach()
      upstream.pause()
      if (limit.then === 'cut') client.end(() => client.destroy())
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port: own } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${own}`,
    fileBytes: () => fileBytes,
    open: () => {
      isOpen = true
    },
    reached,
  }
}
