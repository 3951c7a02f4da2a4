import { isForItsFile, type JobLimits, runJob, stopReason } from '../pickle/job/run-job.ts'
import type { ScanReport } from '../pickle/scan/report.ts'
import type { Gate } from '../gate.ts'
import type { Vault } from '../vault/vault.ts'
import { type Finding, findingOf } from './findings.ts'
import { failureOf } from './job-failed.ts'
import { withUpload } from './upload.ts'

export interface Scanned {
  /** Undefined where the scan was stopped before it could say. */
  readonly format: ScanReport['format'] | undefined
  readonly verdict: ScanReport['verdict']
  readonly findings: readonly Finding[]
  readonly notes: readonly string[]
  readonly sha256: string | undefined
  readonly sizeBytes: number
}

/** What a file is and what it would do; nothing of it is kept. */
export type Scan = (body: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<Scanned>

export function createScan(
  vault: Vault,
  limits: JobLimits & { readonly maxFileBytes: number | undefined; readonly gate: Gate },
): Scan {
  return (body, signal) =>
    withUpload(vault, body, limits, async ({ fd, sizeBytes }) => {
      const outcome = await runJob({ kind: 'scan', sizeBytes }, { source: fd }, limits, signal)
      if (outcome.kind === 'scanned') {
        const { format, verdict, findings, notes, sha256 } = outcome.report
        return { format, verdict, findings: findings.map(findingOf), notes, sha256, sizeBytes }
      }
      // What can't be read to its end is never clean.
      if (outcome.kind === 'stopped' && isForItsFile(outcome.why)) {
        const notes = [stopReason(outcome.why, limits)]
        return { format: undefined, verdict: 'refused', findings: [], notes, sha256: undefined, sizeBytes } // prettier-ignore
      }
      throw failureOf(outcome)
    })
}
