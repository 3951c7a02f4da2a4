import { LocalError } from '../../client/local-failure.ts'
import { findingOf } from '../../migrate/findings.ts'
import type { Converted } from '../../pickle/job/messages.ts'
import { createJsonList } from '../json-list.ts'
import { reportOf } from '../report.ts'
import type { Shell } from '../shell.ts'
import { bytesInWords, counted, createRows, grouped, printable } from '../words.ts'
import { Refused } from './engine.ts'
import type { Progress } from './migrate-file.ts'

/** What became of a file. */
export interface Migrated {
  readonly source: string
  readonly progress: Progress
  /** Why it failed, whatever was done before. */
  readonly error: unknown
}

export interface Report {
  readonly add: (file: Migrated) => void
  readonly end: () => void
}

interface Totals {
  files: number
  migrated: number
  already: number
  would_migrate: number
  failed: number
}

type Outcome = Exclude<keyof Totals, 'files'>

/** What became of each file and of all of them: a table and remarks for a person, or one document for a program. */
export function createReport(shell: Shell, isJson: boolean): Report {
  const totals: Totals = { files: 0, migrated: 0, already: 0, would_migrate: 0, failed: 0 }
  const { add, end } = isJson ? documentTo(shell) : tableTo(shell)
  return {
    add: (file) => {
      totals.files += 1
      totals[outcomeOf(file)] += 1
      add(file)
    },
    end: () => {
      end(totals)
    },
  }
}

interface Teller {
  readonly add: (file: Migrated) => void
  readonly end: (totals: Totals) => void
}

function documentTo(shell: Shell): Teller {
  const list = createJsonList(shell, {}, 'files')
  return {
    add: (file) => {
      list.add(documentOf(file))
    },
    end: (totals) => {
      list.end({ totals })
    },
  }
}

function tableTo({ say }: Shell): Teller {
  const rows = createRows(say, ['file', 'outcome', 'format', 'tensors', 'size', 'new file'])
  const remarks: string[] = []
  return {
    add: (file) => {
      rows.add(rowOf(file))
      remarks.push(...remarksOn(file))
    },
    end: (totals) => {
      rows.end()
      for (const remark of remarks) say(printable(remark))
      say(sumOf(totals))
    },
  }
}

const outcomeOf = ({ progress, error }: Migrated): Outcome =>
  error === undefined ? (progress.outcome ?? 'failed') : 'failed'

const WORDS: Readonly<Record<Outcome, string>> = {
  migrated: 'migrated',
  already: 'already',
  would_migrate: 'would migrate',
  failed: 'FAILED',
}

function rowOf(file: Migrated): readonly string[] {
  const { weights, converted, target = '' } = file.progress
  const tensors = weights?.tensors ?? converted?.tensors
  const size = weights?.sizeBytes ?? converted?.dataBytes
  return [
    file.source,
    WORDS[outcomeOf(file)],
    converted?.format ?? '-',
    tensors === undefined ? '-' : grouped(tensors),
    size === undefined ? '-' : bytesInWords(size),
    file.error === undefined ? target : whyNot(file),
  ]
}

function whyNot({ error, progress }: Migrated): string {
  const why = sentenceOf(error)
  return progress.outcome === 'migrated' ? `${progress.target ?? ''} is made, but ${why}` : why
}

function sentenceOf(error: unknown): string {
  if (error instanceof Refused || error instanceof LocalError) return error.message
  return reportOf(error).lines.join(' ')
}

const MOST_NAMES = 8

function remarksOn({ source, progress }: Migrated): readonly string[] {
  const { remark, converted, pushed, original } = progress
  const said = [
    remark,
    ...(converted === undefined ? [] : lossesOf(converted)),
    pushed && `pushed as ${pushed.checkpoint}@${pushed.version}, revision ${pushed.revision}`,
    original === 'kept' ? undefined : ENDS[original],
  ]
  return said.flatMap((words) => (words === undefined ? [] : [`${source}: ${words}`]))
}

const ENDS = {
  backed_up: 'the original is now .bak',
  deleted: 'the original is deleted',
}

function lossesOf(converted: Converted): readonly (string | undefined)[] {
  const { dropped, droppedCount, tied, opaque, root } = converted
  const ties = Object.entries(tied).map(([name, kept]) => `${name} = ${kept}`)
  return [
    root === '' ? undefined : `the weights are those under ${root}`,
    droppedCount === 0
      ? undefined
      : `${counted(droppedCount, 'value')} dropped: ${some(dropped, droppedCount)}`,
    ties.length === 0 ? undefined : `tied, kept once: ${some(ties, ties.length)}`,
    opaque.length === 0 ? undefined : `left out unread: ${some(opaque, opaque.length)}`,
  ]
}

/** The first few, and how many more there are. */
function some(names: readonly string[], count: number): string {
  const shown = names.slice(0, MOST_NAMES)
  return [...shown, ...(count > shown.length ? [`${count - shown.length} more`] : [])].join(', ')
}

function sumOf({ files, ...outcomes }: Totals): string {
  const told = (Object.entries(outcomes) as [Outcome, number][]).filter(([, count]) => count > 0)
  const parts = told.map(([outcome, count]) => `${count} ${WORDS[outcome].toLowerCase()}`)
  return [counted(files, 'file'), parts.join(', ')].filter((part) => part !== '').join(': ')
}

function documentOf(file: Migrated): object {
  const { source, progress, error } = file
  const { weights, converted, pushed } = progress
  return {
    source,
    source_sha256: progress.sourceSha256 ?? null,
    outcome: outcomeOf(file),
    target: progress.target ?? null,
    sha256: weights?.sha256 ?? null,
    size: weights?.sizeBytes ?? null,
    format: converted?.format ?? null,
    root: converted?.root ?? null,
    tensors: weights?.tensors ?? converted?.tensors ?? null,
    dropped: converted?.dropped ?? [],
    dropped_count: converted?.droppedCount ?? 0,
    tied: converted?.tied ?? {},
    opaque: converted?.opaque ?? [],
    findings: error instanceof Refused ? error.findings.map(findingOf) : [],
    pushed:
      pushed === undefined
        ? null
        : { checkpoint: pushed.checkpoint, version: pushed.version, revision: pushed.revision },
    original: progress.original,
    remark: progress.remark ?? null,
    error: error === undefined ? null : sentenceOf(error),
  }
}
