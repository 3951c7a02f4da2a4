import { fork } from 'node:child_process'
import process from 'node:process'
import type { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { FromChild, ToChild } from './messages.ts'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
/** A young generation of the usual size would let tens of megabytes of dead pieces pile up. */
const EXEC_ARGV = ['--max-semi-space-size=2']
const BYTES_FD = 4
/** Of what the process said before it ended, in characters. */
const TOLD = 2_000
/** For a process that was asked to end. */
const GRACE_MS = 2_000

/** The process that runs a detector, from outside. */
export interface DetectorProcess {
  readonly pid: number | undefined
  /** What can't be sent any more is lost: `ended` says so. */
  readonly send: (message: ToChild) => void
  /** Writes to the pipe of the detector's bytes and ends it; each piece is let go before the next is asked for. */
  readonly feed: (bytes: AsyncIterable<Uint8Array>) => Promise<void>
  /** Resolves when the process is gone, with how, and with what it said last. */
  readonly ended: Promise<string>
  /** Lets it end by itself, and kills it if it doesn't. */
  readonly release: () => Promise<void>
  readonly kill: () => void
}

export function startProcess(onMessage: (message: FromChild) => void): DetectorProcess {
  const child = fork(CHILD, [], {
    execArgv: EXEC_ARGV,
    // Freed memory of one thread serves the others: with a heap each, glibc keeps 50 MB more.
    env: { MALLOC_ARENA_MAX: '1', ...withoutSettings(process.env) },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-TOLD)
  })
  child.on('message', (message) => {
    // Our own program at the other end: child.ts is checked against the same type.
    onMessage(message as FromChild)
  })
  const pipe = child.stdio[BYTES_FD] as Writable
  // That it broke is told by `ended`.
  pipe.on('error', () => undefined)
  const ended = new Promise<string>((resolve) => {
    // It couldn't be started; if it was, `exit` tells more.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve(error.message)
    })
    // `close` doesn't come where this side let go of the channel first.
    child.on('exit', (code, signal) => {
      pipe.destroy()
      const how = `ended with ${signal ?? `code ${String(code)}`}`
      const tell = (): void => {
        resolve(`${how}\n${said}`.trim())
      }
      if (child.stderr === null || child.stderr.closed) tell()
      else child.stderr.once('close', tell)
    })
  })

  async function feed(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const piece of bytes) {
      if (!pipe.writable) return
      await new Promise((resolve) => pipe.write(piece, resolve))
    }
    pipe.end()
  }

  return {
    pid: child.pid,
    send: (message) => {
      child.send(message, () => undefined)
    },
    feed,
    ended,
    release: async () => {
      if (child.connected) child.disconnect()
      const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
      await ended
      clearTimeout(timer)
    },
    kill: () => {
      child.kill('SIGKILL')
    },
  }
}

/** The library's search paths go along, the server's secrets don't. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('STRONGROOM_')))
