import type { Outcome } from '../pickle/job/run-job.ts'

/** A process that read a file ended without an answer, and not for what the file is. */
export class JobFailed extends Error {
  override readonly name = 'JobFailed'

  constructor(outcome: Outcome) {
    super(outcome.kind === 'failed' ? outcome.message : `the job is ${outcome.kind}`)
  }
}
