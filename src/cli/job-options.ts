import { type Command, Option } from 'commander'
import type { JobLimits } from '../pickle/job/run-job.ts'
import { parseCount } from './client-options.ts'
import { UsageError } from './shell.ts'

export interface JobOptions {
  readonly memory?: string
  readonly deadline?: string
}

const MIB = 1024 * 1024
const DEFAULT_MEMORY_MIB = 1024
const DEFAULT_DEADLINE_SECONDS = 3600

/** What the reading of a file that nobody vouches for may cost. */
export const addJobOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--memory <mib>', `memory that reading a file may take (${DEFAULT_MEMORY_MIB})`),
    )
    .addOption(
      new Option('--deadline <seconds>', `time that it may take (${DEFAULT_DEADLINE_SECONDS})`),
    )

/** @throws {UsageError} */
export function jobLimitsOf({ memory, deadline }: JobOptions): JobLimits {
  const memoryMib = parseCount('--memory', memory) ?? DEFAULT_MEMORY_MIB
  const seconds = parseCount('--deadline', deadline) ?? DEFAULT_DEADLINE_SECONDS
  if (memoryMib < 1) throw new UsageError('--memory is at least 1 MiB.')
  if (seconds < 1 || seconds > MAX_DEADLINE_SECONDS)
    throw new UsageError('--deadline is between a second and a week.')
  return { memoryBytes: memoryMib * MIB, deadlineMs: seconds * 1000 }
}

/** Below what a timer can wait. */
const MAX_DEADLINE_SECONDS = 7 * 86_400
