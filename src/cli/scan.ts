import type { Command } from 'commander'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { LocalError } from '../client/local-failure.ts'
import { abortOnSignal } from './abort-on-signal.ts'
import { jsonOption } from './client-options.ts'
import { filesBelow, isFolder } from './files-below.ts'
import { inOrder } from './in-order.ts'
import { addJobOptions, jobLimitsOf, type JobOptions } from './job-options.ts'
import { scanFile, type Scanned } from './scan-file.ts'
import { createScanReport } from './scan-output.ts'
import type { Shell } from './shell.ts'

interface ScanOptions extends JobOptions {
  readonly json?: boolean
}

const HELP = `
Says of each file what it is by its content, and what it would call if it were unpickled; nothing of it is run, and it is
read in a process of its own. Archives and pickles inside others are looked into.

  clean      read to its end as plain data: a checkpoint of torch.save or safetensors
  refused    no weights, or not read to its end, or it asks for more than plain data
  dangerous  it calls something when it is unpickled

In a folder every file is looked at, hidden ones too. Exits with 1 unless all are clean; of a folder's files those count
that hold a pickle, or are a checkpoint, safetensors or an archive.`

/** A process of its own for each, of which every one may take its memory. */
const MOST_AT_ONCE = 4

/** `strongroom scan FILE|DIR…`. */
export function addScan(program: Command, shell: Shell): void {
  const command = program
    .command('scan')
    .description('look for what a file would run when it is unpickled, running nothing of it')
    .argument('<file|dir...>')
    .addHelpText('after', HELP)
    .addOption(jsonOption())
  addJobOptions(command).action(async (given: readonly string[], options: ScanOptions) => {
    const limits = jobLimitsOf(options)
    const signal = abortOnSignal()
    const report = createScanReport(shell, options.json === true)
    const scanOne = (file: Candidate): Promise<Scanned> => scanFile(file, limits, signal)
    const width = Math.min(availableParallelism(), MOST_AT_ONCE)
    for await (const scanned of inOrder(await candidatesOf(given), width, scanOne)) {
      report.add(scanned)
    }
    shell.end(report.end() ? 0 : 1)
  })
}

/** A file to look at. */
export interface Candidate {
  readonly path: string
  /** Named by the caller, and told of whatever it is. */
  readonly isNamed: boolean
  /** Why it can't be looked into. */
  readonly trouble?: LocalError
}

/** @throws {LocalError} where there is nothing of a name */
async function candidatesOf(given: readonly string[]): Promise<AsyncIterable<Candidate>> {
  const found: { path: string; isSearched: boolean }[] = []
  for (const path of given) found.push({ path, isSearched: await isFolder(path) })
  return (async function* () {
    for (const { path, isSearched } of found) {
      if (!isSearched) yield { path, isNamed: true }
      else
        for await (const file of filesBelow(path, { areHiddenFoldersTaken: true }))
          yield { ...file, path: join(path, file.path), isNamed: false }
    }
  })()
}
