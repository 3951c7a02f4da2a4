import { LocalError } from '../client/local-failure.ts'
import { type JobLimits, type Outcome, runJob, stopReason } from '../pickle/job/run-job.ts'
import type { ScanReport } from '../pickle/scan/report.ts'
import { openOriginal } from './migrate/original.ts'
import type { Candidate } from './scan.ts'

/** What a file is, as far as it could be read. */
export interface Scanned extends Pick<ScanReport, 'verdict' | 'findings' | 'notes'> {
  readonly path: string
  readonly format: ScanReport['format'] | undefined
  readonly sha256: string | undefined
  /** One of a folder's that no reader of pickles would open: it is only counted. */
  readonly isOther: boolean
}

/** What can't be read is refused, never clean. @throws what the signal was given */
export async function scanFile(
  { path, isNamed, trouble }: Candidate,
  limits: JobLimits,
  signal: AbortSignal,
): Promise<Scanned> {
  try {
    if (trouble !== undefined) throw trouble
    const outcome = await outcomeOf(path, limits, signal)
    if (outcome.kind !== 'scanned') return unread(path, reasonOf(outcome, limits))
    const { report } = outcome
    return { path, ...report, isOther: !isNamed && isOther(report) }
  } catch (error) {
    if (!(error instanceof LocalError) || signal.aborted) throw error
    return unread(path, error.message)
  }
}

async function outcomeOf(path: string, limits: JobLimits, signal: AbortSignal): Promise<Outcome> {
  const { file, sizeBytes } = await openOriginal(path)
  try {
    const outcome = await runJob({ kind: 'scan', sizeBytes }, { source: file.fd }, limits, signal)
    signal.throwIfAborted()
    return outcome
  } finally {
    await file.close()
  }
}

const unread = (path: string, why: string): Scanned => ({
  path,
  format: undefined,
  verdict: 'refused',
  findings: [],
  notes: [why],
  sha256: undefined,
  isOther: false,
})

function reasonOf(outcome: Outcome, limits: JobLimits): string {
  if (outcome.kind === 'stopped' && outcome.why !== 'aborted')
    return stopReason(outcome.why, limits)
  const why = outcome.kind === 'failed' ? outcome.message : outcome.kind
  return `the process that reads it ended: ${why.split('\n', 1).join()}`
}

/** Of formats that hold no other files and no weights of PyTorch's. */
const OTHERS: readonly ScanReport['format'][] = [
  'gguf',
  'hdf5',
  'onnx',
  'elf',
  'html',
  'git_lfs_pointer',
  'json',
  'empty',
  'unknown',
]

/** The one note on it is that it is no checkpoint; more of them say what could not be looked into. */
const isOther = ({ format, hasPickle, findings, notes }: ScanReport): boolean =>
  OTHERS.includes(format) && !hasPickle && findings.length === 0 && notes.length <= 1
