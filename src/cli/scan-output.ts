import { findingOf } from '../migrate/findings.ts'
import type { ScanFinding } from '../pickle/scan/scan.ts'
import { createJsonList } from './json-list.ts'
import type { Scanned } from './scan-file.ts'
import type { Shell } from './shell.ts'
import { counted, printable } from './words.ts'

interface ScanReport {
  readonly add: (file: Scanned) => void
  /** @returns whether all are clean */
  readonly end: () => boolean
}

/** Of a file that names a thousand things, for a person. */
const MOST_FINDINGS = 20

export function createScanReport(shell: Shell, isJson: boolean): ScanReport {
  const list = isJson ? createJsonList(shell, {}, 'files') : undefined
  const totals = { files: 0, clean: 0, refused: 0, dangerous: 0, others: 0 }
  return {
    add: (file) => {
      if (file.isOther) {
        totals.others += 1
        return
      }
      totals.files += 1
      totals[file.verdict] += 1
      list?.add(documentOf(file))
      if (list !== undefined) return
      for (const line of linesOf(file)) shell.say(printable(line))
    },
    end: () => {
      list?.end({ totals })
      if (list === undefined) shell.say(sumOf(totals))
      return totals.clean === totals.files
    },
  }
}

const VERDICTS = { clean: 'clean    ', refused: 'refused  ', dangerous: 'DANGEROUS' } as const
const FORMAT_WIDTH = 12

function linesOf({ path, verdict, format, findings, notes }: Scanned): readonly string[] {
  const more = findings.length - MOST_FINDINGS
  const why = [
    ...findings.slice(0, MOST_FINDINGS).map(sentenceOf),
    ...(more > 0 ? [`${more} more like these`] : []),
    ...notes,
  ]
  const head = `${VERDICTS[verdict]}  ${(format ?? '-').padEnd(FORMAT_WIDTH)}  ${path}`
  return [head, ...why.map((line) => `  ${line}`)]
}

function sentenceOf({ entry, global, offset, via, invoked, argsPreview }: ScanFinding): string {
  const does = `${entry === '' ? 'the pickle' : entry} ${invoked ? 'calls' : 'names'} ${global}`
  const args = argsPreview === undefined ? '' : ` with ${argsPreview}`
  return `${does} at byte ${offset} (${via})${args}`
}

interface Totals {
  readonly files: number
  readonly clean: number
  readonly refused: number
  readonly dangerous: number
  readonly others: number
}

function sumOf({ files, clean, refused, dangerous, others }: Totals): string {
  const verdicts = `${clean} clean, ${refused} refused, ${dangerous} dangerous`
  const rest = others === 0 ? '' : `; ${counted(others, 'other file')} hold${others === 1 ? 's' : ''} no pickle` // prettier-ignore
  return `${counted(files, 'file')}: ${verdicts}${rest}`
}

function documentOf({ path, format, verdict, sha256, findings, notes }: Scanned): object {
  return {
    file: path,
    sha256: sha256 ?? null,
    format: format ?? null,
    verdict,
    findings: findings.map(findingOf),
    notes,
  }
}
