import { LedgerFull, LedgerRefused } from '../../db/ledger.ts'
import { ConfigError } from '../config.ts'
import { FoldersRefused } from '../folders.ts'
import { DetectorRefused } from '../detect/refused.ts'
import { RefusedError, UnreachableError, UntrustedError } from '../client/failures.ts'
import { LocalError } from '../client/local-failure.ts'
import { type Facts, RegistryError } from '../errors.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { type ExitCode, type Shell, UsageError } from './shell.ts'
import { printable } from './words.ts'

export interface Report {
  readonly exitCode: ExitCode
  /** For a person: one line a problem. */
  readonly lines: readonly string[]
  /** The same for a program. */
  readonly document: Readonly<Record<string, unknown>>
}

/** Tells of an error on standard error. */
export function tellOf(error: unknown, { note }: Shell, isForProgram: boolean): Report {
  const report = reportOf(error)
  if (isForProgram) note(JSON.stringify(report.document))
  else for (const line of report.lines) note(`strongroom: ${line}`)
  return report
}

/** What to say of an error, and how to exit. Nothing here shows a stack. */
export function reportOf(error: unknown): Report {
  if (error instanceof UsageError || error instanceof ConfigError) {
    return failed(2, error.problems.map(printable), 'WRONG_USE', error.message, {})
  }
  if (error instanceof LocalError) {
    const { message, isWrongUse } = error
    const line = printable(`${message} [LOCAL_FILE]`)
    return failed(isWrongUse ? 2 : 1, [line], 'LOCAL_FILE', message, {})
  }
  if (error instanceof LedgerRefused || error instanceof LedgerFull) {
    return told(1, 'LEDGER_REFUSED', error.message, {})
  }
  if (error instanceof FoldersRefused) return told(1, 'FOLDERS_REFUSED', error.message, {})
  if (error instanceof UnreachableError) return told(3, 'UNREACHABLE', error.message, {})
  if (error instanceof UntrustedError) return told(1, 'NOT_AS_CLAIMED', error.message, error.facts)
  if (error instanceof DetectorRefused)
    return told(1, 'DETECTOR_REFUSED', error.message, { where: error.where }, withStop)
  if (error instanceof RegistryError) return told(1, error.code, error.message, error.facts)
  if (error instanceof SafetensorsError) {
    const { reason, offset, tensor, looksLike } = error
    return told(1, 'INVALID_SAFETENSORS', error.message, {
      reason,
      looks_like: looksLike,
      tensor,
      offset,
    })
  }
  if (error instanceof RefusedError) {
    const { request_id: requestId, ...facts } = error.facts
    const shown = error.status >= 500 ? { ...facts, request_id: requestId } : facts
    const hint =
      error.code === 'UNAUTHENTICATED' ? ' Give one with STRONGROOM_TOKEN or --token.' : ''
    return told(1, error.code, `${error.message}${hint}`, shown)
  }
  const message = error instanceof Error ? error.message : String(error)
  return told(1, 'UNEXPECTED', `Unexpected: ${message}`, {})
}

function told(
  exitCode: ExitCode,
  code: string,
  detail: string,
  facts: Facts,
  inWords = asSentence,
): Report {
  const words = Object.entries(facts).flatMap(([key, value]) => {
    const word = wordOf(value)
    return word === undefined ? [] : [`${key}=${word}`]
  })
  const line = [`${inWords(detail)} [${[code, ...words].join(' ')}]`].map(printable)
  return failed(exitCode, line, code, detail, facts)
}

const failed = (
  exitCode: ExitCode,
  lines: readonly string[],
  code: string,
  detail: string,
  facts: Facts,
): Report => ({ exitCode, lines, document: { code, detail, ...facts } })

/** A fact in one word, or in quotes; undefined for what isn't there. */
function wordOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return /^[\w./@+-]+$/.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value)
}

const asSentence = (text: string): string =>
  withStop(`${text.charAt(0).toUpperCase()}${text.slice(1)}`)

/** Of what begins with a path or the name of a member, which stays as it is. */
const withStop = (text: string): string => `${text}${/[.!?]$/.test(text) ? '' : '.'}`
