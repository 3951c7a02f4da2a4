import cliProgress from 'cli-progress'
import process from 'node:process'
import { type Shell } from './shell.ts'
import { bytesInWords, printable } from './words.ts'

export interface Bar {
  /** Bytes so far. */
  readonly at: (bytes: number) => void
  /** More bytes. */
  readonly add: (bytes: number) => void
  readonly end: () => void
}

const SILENT: Bar = { at: () => undefined, add: () => undefined, end: () => undefined }

/** A bar of bytes on standard error while a person watches it; nothing otherwise. */
export function createBar({ isWatched }: Shell, doing: string, totalBytes: number): Bar {
  if (!isWatched) return SILENT
  const bar = new cliProgress.SingleBar({
    stream: process.stderr,
    // Nothing that would have to be undone: its own way to do so takes the first Ctrl-C for itself.
    gracefulExit: false,
    hideCursor: false,
    linewrap: true,
    clearOnComplete: true,
    etaBuffer: 50,
    format: (_options, { progress, value, eta }) => {
      const width = 28
      const filled = Math.round(progress * width)
      const line = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`
      const left = Number.isFinite(eta) ? `, ${Math.round(eta)} s left` : ''
      return `${printable(doing)}  ${line}  ${bytesInWords(value)} of ${bytesInWords(totalBytes)}${left}`
    },
  })
  bar.start(totalBytes, 0)
  return {
    at: (bytes) => {
      bar.update(bytes)
    },
    add: (bytes) => {
      bar.increment(bytes)
    },
    end: () => {
      bar.stop()
    },
  }
}
