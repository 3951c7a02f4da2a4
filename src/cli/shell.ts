import { once } from 'node:events'
import process from 'node:process'

/** 0 done, 1 refused or not valid, 2 wrong use, 3 can't reach. */
export type ExitCode = 0 | 1 | 2 | 3

/** What a command has of the process that it runs in. */
export interface Shell {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes a line to standard output: what was asked for, and nothing else. */
  readonly say: (line: string) => void
  /** Writes bytes to standard output, as fast as they are taken. */
  readonly pour: (bytes: AsyncIterable<Uint8Array>) => Promise<void>
  /** Writes a line to standard error: remarks for a person. */
  readonly note: (line: string) => void
  /** A person looks at standard error. */
  readonly isWatched: boolean
  /** A person looks at standard output. */
  readonly isRead: boolean
  /** How the command ends, unless it throws; 0 until told. */
  readonly end: (code: ExitCode) => void
}

/** The caller asked for something that can't be meant. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly problems: readonly string[]
  constructor(...problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

export function processShell(end: Shell['end']): Shell {
  // A reader that has seen enough, such as `head`, is no error.
  process.stdout.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
  return {
    env: process.env,
    say: (line) => {
      process.stdout.write(`${line}\n`)
    },
    pour: async (bytes) => {
      for await (const piece of bytes) {
        if (!process.stdout.write(piece)) await once(process.stdout, 'drain')
      }
    },
    note: (line) => {
      process.stderr.write(`${line}\n`)
    },
    isWatched: process.stderr.isTTY,
    isRead: process.stdout.isTTY,
    end,
  }
}
