import process from 'node:process'
import { convert, judge } from '../convert.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { ConversionRefused } from '../refused.ts'
import { scan } from '../scan/report.ts'
import { sourceOf } from '../source.ts'
import { type Answer, type Converted, type Job, SOURCE_FD, TARGET_FD } from './messages.ts'
import { refusalOf } from './refusal.ts'

// A process for one job: it reads the file that it was given open, answers, and ends.

const MOST_DROPPED_TOLD = 1000

function answerTo(job: Job): Answer {
  const from = { fd: SOURCE_FD, sizeBytes: job.sizeBytes }
  const source = sourceOf(from.fd, from.sizeBytes)
  if (job.kind === 'scan') return { kind: 'scanned', report: scan(source) }
  const { root, writesTiedTwice, isOpaqueAllowed } = job
  const options = { root, writesTiedTwice, isOpaqueAllowed, limits: DEFAULT_LIMITS }
  try {
    const made = job.kind === 'judge' ? judge(from, options) : convert(from, TARGET_FD, options)
    const dropped = made.dropped.slice(0, MOST_DROPPED_TOLD)
    const converted: Converted = { ...made, dropped, droppedCount: made.dropped.length }
    return { kind: 'converted', converted }
  } catch (error) {
    if (!(error instanceof ConversionRefused)) throw error
    return { kind: 'refused', refusal: refusalOf(error, source) }
  }
}

process.once('message', (job: Job) => {
  let answer: Answer
  try {
    answer = answerTo(job)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    answer = { kind: 'failed', message: error instanceof Error ? (error.stack ?? '') : '', code }
  }
  process.send?.(answer, () => {
    process.disconnect()
  })
})
