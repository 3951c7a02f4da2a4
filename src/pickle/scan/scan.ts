import { HEAD_BYTES } from '../../safetensors/sniff.ts'
import { sniffPickle } from '../../safetensors/sniff-pickle.ts'
import { escaped } from '../escaped.ts'
import type { Source } from '../source.ts'
import { isHarmless } from './harmless.ts'
import { createUnpacker, type MembersLimits } from './members.ts'
import { trace, type TraceFinding, type TraceLimits } from './trace.ts'

export interface ScanLimits extends TraceLimits, MembersLimits {
  /** Pickles in pickles, and files in files. */
  readonly maxNesting: number
}

export interface ScanFinding extends TraceFinding {
  /** The archive's member, or the file itself as ''; `!` and an offset lead into a pickle that another one holds. */
  readonly entry: string
}

export interface Pickles {
  readonly findings: readonly ScanFinding[]
  /** What could not be read to its end, and why. */
  readonly notes: readonly string[]
  /** Whether there was a pickle at all. */
  readonly hasPickle: boolean
}

/** Every pickle of a file: of each member of an archive, one behind the other, and in one another. */
export function picklesIn(source: Source, limits: ScanLimits): Pickles {
  const findings: ScanFinding[] = []
  const notes: string[] = []
  let hasPickle = false
  const membersOf = createUnpacker(limits, note)

  function look(entry: string, source: Source, depth: number): void {
    const first = source.take(0, Math.min(HEAD_BYTES, source.sizeBytes))
    for (const { name, source: inner } of membersOf(entry, source, first)) {
      if (depth === limits.maxNesting) {
        note(`${entry || 'it'} holds files that are not looked into`)
        break
      }
      look([entry, name].filter((part) => part !== '').join('!'), inner, depth + 1)
    }
    // A pickle that an archive was appended to is one all the same.
    const begin = dataBegin(first)
    const length = Math.max(0, Math.min(source.sizeBytes - begin, limits.maxEntryBytes))
    if (isPickle(source.take(begin, Math.min(length, HEAD_BYTES))))
      read(entry, source.take(begin, length), depth)
  }

  function read(entry: string, bytes: Uint8Array, depth: number): void {
    for (let at = 0; at < bytes.length;) {
      // Behind the first one there may be anything: torch's legacy format goes on with numbers.
      if (at > 0 && !isPickle(bytes.subarray(at))) return
      const { end, findings: found, nested, broken } = trace(bytes, at, limits)
      const told = broken === undefined ? found : found.filter(isNoAccident)
      if (broken === undefined || told.length > 0) hasPickle = true
      for (const finding of told) tell({ entry, ...finding })
      for (const { offset, bytes: inner } of nested)
        if (isPickle(inner)) {
          if (depth < limits.maxNesting) read(`${entry}!${offset}`, inner, depth + 1)
          else note(`${entry || 'it'} holds pickles that are not looked into`)
        }
      if (broken !== undefined) {
        if (isPickle(bytes.subarray(at)))
          note(`${entry || 'it'} ${broken.why} at byte ${broken.offset}`)
        return
      }
      at = end
    }
  }

  function tell(finding: ScanFinding): void {
    if (findings.length === limits.maxFindings) return
    findings.push({ ...finding, entry: shown(finding.entry), global: shown(finding.global) })
  }

  function note(what: string): void {
    if (notes.length < limits.maxFindings) notes.push(shown(what))
  }

  look('', source, 0)
  return { findings, notes, hasPickle }
}

/** Of a name, which is the file's own. */
const MOST_CHARACTERS = 1000
const shown = (text: string): string => escaped(text.slice(0, MOST_CHARACTERS))

const NUMPY = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

/** Where a pickle would begin: at once, or behind the header of NumPy's own format (NEP 1), which has one of objects. */
function dataBegin(first: Uint8Array): number {
  if (first.length < 12 || NUMPY.some((byte, i) => first[i] !== byte)) return 0
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength)
  const isOld = first[6] === 1
  return isOld ? 10 + view.getUint16(8, true) : 12 + view.getUint32(8, true)
}

function isPickle(bytes: Uint8Array): boolean {
  const guess = sniffPickle(bytes.subarray(0, HEAD_BYTES))
  return guess !== undefined && guess.looksLike !== 'unknown'
}

/** Numbers that are read as opcodes come to a name in letters, and a call of it, next to never. */
const isNoAccident = ({ invoked, global }: TraceFinding): boolean =>
  invoked && /^[\w.]+$/.test(global)

/** Calls of what isn't known to build plain data. Making an object of a class without arguments of its own is no call. */
export const isAttack = ({ invoked, via, global }: ScanFinding): boolean =>
  invoked && via !== 'NEWOBJ' && (via !== 'BUILD' || global.endsWith('.__dict__')) && !isHarmless(global) // prettier-ignore
