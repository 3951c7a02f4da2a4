import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { networkGuard } from './isolation.ts'
import type { Answer, Job } from './messages.ts'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const SOURCES = fileURLToPath(new URL('../../', import.meta.url))
const PACKAGE = fileURLToPath(new URL('../../../package.json', import.meta.url))

export interface JobLimits {
  /** Of the whole process, resident. */
  readonly memoryBytes: number
  readonly deadlineMs: number
}

/** How a job ended: by its answer, or by us. */
export type Outcome = Answer | { readonly kind: 'stopped'; readonly why: Stop | 'aborted' }

/** `killed`: by somebody else, such as a system that is short of memory. */
type Stop = 'memory' | 'deadline' | 'killed'

/** Whether a job was stopped for what its file cost. */
export const isForItsFile = (why: Stop | 'aborted'): why is 'memory' | 'deadline' =>
  why === 'memory' || why === 'deadline'

/** Of a job that was stopped for what its file cost, in words. */
export function stopReason(why: Stop, { memoryBytes, deadlineMs }: JobLimits): string {
  if (why === 'killed')
    return 'the process that read it was killed, as a system short of memory does'
  return why === 'memory'
    ? `reading it took more than ${Math.round(memoryBytes / MIB)} MiB of memory`
    : `reading it took longer than ${deadlineMs / 1000} s`
}

/** V8's part of it, so that it collects before we end it: the program itself and what is read take the rest. */
const HEAP_SHARE = 0.75
const MEMORY_CHECK_MS = 50
const PAGE_BYTES = 4096
const MIB = 1024 * 1024
/** Of what a process said at first, in characters: V8 says there that its heap is full. */
const TOLD = 4_000

/**
 * Does a job in a process of its own, which may read the program's files and nothing else, write none, start none, has no
 * secrets in its environment and, where the system grants that, no network. It is killed above its memory, past its
 * deadline, or when the caller no longer waits.
 *
 * @param target of a conversion: an empty file, open to read and write.
 */
export async function runJob(
  job: Job,
  files: { readonly source: number; readonly target?: number },
  { memoryBytes, deadlineMs }: JobLimits,
  signal?: AbortSignal,
): Promise<Outcome> {
  if (signal?.aborted === true) return { kind: 'stopped', why: 'aborted' }
  const heap = `--max-old-space-size=${Math.ceil((HEAP_SHARE * memoryBytes) / MIB)}`
  const [command, ...args] = await guarded(heap, CHILD)
  const child = spawn(command, args, {
    env: { PATH: process.env['PATH'] },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', files.source, files.target ?? 'ignore'],
  })
  let stopped: Extract<Outcome, { kind: 'stopped' }> | undefined
  const stop = (why: 'memory' | 'deadline' | 'aborted'): void => {
    stopped ??= { kind: 'stopped', why }
    child.kill('SIGKILL')
  }
  const onAbort = (): void => {
    stop('aborted')
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  const deadline = setTimeout(stop, deadlineMs, 'deadline')
  const watch = watchMemory(child, memoryBytes, () => {
    stop('memory')
  })
  child.send(job, () => undefined)
  try {
    const { answer, ending } = await answerOf(child)
    if (stopped !== undefined) return stopped
    if (answer !== undefined) return answer
    // V8's own limit of the heap, met between two looks at the process.
    if (/out of memory|heap limit/i.test(ending)) return { kind: 'stopped', why: 'memory' }
    if (ending.startsWith('ended with SIGKILL')) return { kind: 'stopped', why: 'killed' }
    return { kind: 'failed', message: ending, code: undefined }
  } finally {
    clearTimeout(deadline)
    clearInterval(watch)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** The command that runs Node with these arguments, allowed no more than to read this program's own files. */
export async function guarded(...args: readonly string[]): Promise<[string, ...string[]]> {
  const node = [
    process.execPath,
    '--permission',
    `--allow-fs-read=${SOURCES}*`,
    `--allow-fs-read=${PACKAGE}`,
    ...args,
  ] as const
  const [guard, ...more] = await networkGuard()
  return guard === undefined ? [...node] : [guard, ...more, ...node]
}

/** What it sent before it was gone, and how it ended. */
function answerOf(
  child: ChildProcess,
): Promise<{ readonly answer: Answer | undefined; readonly ending: string }> {
  let answer: Answer | undefined
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(0, TOLD)
  })
  child.on('message', (message) => {
    // Our own program at the other end: child.ts is checked against the same type.
    answer = message as Answer
  })
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ answer, ending: error.message })
    })
    child.once('close', (code, signal) => {
      resolve({ answer, ending: `ended with ${signal ?? `code ${String(code)}`}\n${said}` })
    })
  })
}

/** Where there is no /proc, V8's own limit of the heap is what holds. */
function watchMemory(child: ChildProcess, most: number, onMore: () => void): NodeJS.Timeout {
  const path = `/proc/${child.pid ?? 0}/statm`
  return setInterval(() => {
    readFile(path, 'utf8').then(
      (text) => {
        if (Number(text.split(' ')[1]) * PAGE_BYTES > most) onMore()
      },
      () => undefined,
    )
  }, MEMORY_CHECK_MS)
}
