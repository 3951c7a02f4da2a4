import type { FileHandle } from 'node:fs/promises'
import { localErrorOf } from '../../client/local-failure.ts'
import type { Converted } from '../../pickle/job/messages.ts'
import { type JobLimits, type Outcome, runJob, stopReason } from '../../pickle/job/run-job.ts'
import type { ScanFinding } from '../../pickle/scan/scan.ts'
import type { Original } from './original.ts'

/** Why a file isn't migrated, for what it is; what it would have done. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly findings: readonly ScanFinding[]

  constructor(why: string, findings: readonly ScanFinding[]) {
    super(`refused: ${why}`)
    this.findings = findings
  }
}

interface Target {
  readonly path: string
  readonly file: FileHandle
}

/** How the weights are found and written. */
export interface Wanted {
  readonly root: string | undefined
  readonly writesTiedTwice: boolean
  readonly isOpaqueAllowed: boolean
  readonly limits: JobLimits
}

/**
 * Reads a checkpoint in a process of its own, as every file is that nobody vouches for.
 *
 * @param target empty; what is made is written to it, or nothing where there is none.
 * @throws {Refused}, {LocalError}
 */
export async function readWeights(
  { file, sizeBytes }: Original,
  target: Target | undefined,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Converted> {
  const { root, writesTiedTwice, isOpaqueAllowed, limits } = wanted
  const choice = { root, writesTiedTwice, isOpaqueAllowed }
  const kind = target === undefined ? 'judge' : 'convert'
  const files = { source: file.fd, ...(target === undefined ? {} : { target: target.file.fd }) }
  const outcome = await runJob({ kind, sizeBytes, ...choice }, files, limits, signal)
  signal.throwIfAborted()
  if (outcome.kind === 'converted') return outcome.converted
  throw failureOf(outcome, target, wanted)
}

function failureOf(
  outcome: Outcome,
  target: Target | undefined,
  { limits, isOpaqueAllowed }: Wanted,
): unknown {
  if (outcome.kind === 'refused') {
    const { message, findings, isForUnknownClass } = outcome.refusal
    const isAdvised = isForUnknownClass && !isOpaqueAllowed
    return new Refused(isAdvised ? withAdvice(message) : message, findings)
  }
  if (outcome.kind === 'stopped' && outcome.why !== 'aborted')
    return new Refused(stopReason(outcome.why, limits), [])
  if (outcome.kind === 'failed' && target !== undefined && isDiskFull(outcome.code)) {
    const { message, code } = outcome
    return localErrorOf(target.path, Object.assign(new Error(message), { code, syscall: 'write' }))
  }
  const message = outcome.kind === 'failed' ? outcome.message : outcome.kind
  return new Error(`the process that reads it ended: ${message.split('\n', 1).join()}`)
}

const isDiskFull = (code: string | undefined): boolean =>
  code !== undefined && ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO'].includes(code)

const withAdvice = (message: string): string =>
  `${message.replace(/\.$/, '')}; rerun with --opaque to leave it out`
