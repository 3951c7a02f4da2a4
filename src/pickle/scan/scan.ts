import { HEAD_BYTES } from '../../safetensors/sniff.ts'
import { sniffPickle } from '../../safetensors/sniff-pickle.ts'
import { LOCAL } from '../../zip-format.ts'
import { escaped } from '../escaped.ts'
import { type Source, sourceOfBytes } from '../source.ts'
import type { TraceFinding } from './findings.ts'
import { createUnpacker, mayHoldFiles, type MembersLimits } from './members.ts'
import { type Trace, trace, type TraceLimits } from './trace.ts'

export interface ScanLimits extends TraceLimits, MembersLimits {
  /** Pickles in pickles, and files in files. */
  readonly maxNesting: number
  /** Files in files, in all. */
  readonly maxMembers: number
  /** Pickles, in all, and their opcodes. */
  readonly maxPickles: number
  readonly maxAllOpcodes: number
  /** Bytes read of files that may be pickles, in all: members of an archive can lie over one another. */
  readonly maxReadBytes: number
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
  /** Whether there is nothing that was left out for what it takes. */
  readonly isWhole: boolean
  /** Whether each file that could be a pickle was read as far as another reader would, and all that it names is told. */
  readonly isReadOut: boolean
}

/** As much of a file as is read at first: most are no pickle, which shows soon. */
const FIRST_BYTES = 4096

/** Every pickle of a file: of each member of an archive, one behind the other, and in one another. */
export function picklesIn(source: Source, limits: ScanLimits): Pickles {
  const attacks: ScanFinding[] = []
  const others: ScanFinding[] = []
  const notes: string[] = []
  let hasPickle = false
  let isWhole = true
  let isReadOut = true
  const left = { members: limits.maxMembers, pickles: limits.maxPickles, opcodes: limits.maxAllOpcodes, bytes: limits.maxReadBytes } // prettier-ignore
  const membersOf = createUnpacker(limits, miss)

  function look(entry: string, source: Source, depth: number): void {
    const first = source.take(0, Math.min(HEAD_BYTES, source.sizeBytes))
    if (depth > limits.maxNesting) {
      if (isPickle(first) || mayHoldFiles(source, first))
        miss(`${entry} is nested too deep to be looked into`)
      return
    }
    for (const { name, source: inner } of membersOf(entry, source, first)) {
      if (left.members === 0) {
        miss(`${entry || 'it'} holds more files than are looked into`)
        break
      }
      left.members -= 1
      look([entry, name].filter((part) => part !== '').join('!'), inner, depth + 1)
    }
    // A pickle that an archive was appended to is one all the same; what begins as an archive asks its reader for what
    // is called `K…`, and nothing else happens.
    if (!isLocalHeader(first)) read(entry, source, dataBegin(first), depth)
  }

  function read(entry: string, source: Source, begin: number, depth: number): void {
    const most = Math.min(source.sizeBytes - begin, limits.maxEntryBytes)
    if (most <= 0) return
    for (const length of most > FIRST_BYTES ? [FIRST_BYTES, most] : [most]) {
      if (length > left.bytes) {
        miss(`${entry || 'it'} is not looked into: there is too much to read`)
        return
      }
      left.bytes -= length
      const bytes = source.take(begin, length)
      const traces = tracesOf(entry, bytes)
      if (traces.at(-1)?.isCutOff === true && length < most) continue
      for (const each of traces) tellTrace(entry, bytes, each, depth)
      const end = traces.at(-1)?.wantedEnd ?? Infinity
      if (begin + end <= source.sizeBytes) {
        isReadOut = false
        note(`${entry || 'it'} could be a pickle; it is read up to byte ${length} at most`)
      }
      if (traces.at(-1)?.isCutOff === true && begin + length < source.sizeBytes && isPickle(bytes))
        miss(`${entry || 'it'} is a pickle of more than ${length} bytes`)
      return
    }
  }

  /** Pickles one behind the other, up to the first that isn't one. */
  function tracesOf(entry: string, bytes: Buffer): Trace[] {
    const found: Trace[] = []
    for (let at = 0; at < bytes.length;) {
      if (left.pickles === 0 || left.opcodes <= 0) {
        miss(`${entry || 'it'} holds more pickles than are looked into`)
        break
      }
      const maxOpcodes = Math.min(limits.maxOpcodes, left.opcodes)
      const each = trace(bytes, at, { ...limits, maxOpcodes })
      // Of a file that is none there is but one try.
      if (each.broken === undefined) left.pickles -= 1
      left.opcodes -= each.count
      if (each.count === maxOpcodes) miss(`${entry || 'it'} has more opcodes than are looked into`)
      found.push(each)
      if (each.broken !== undefined) break
      at = each.end
    }
    return found
  }

  function tellTrace(entry: string, bytes: Buffer, found: Trace, depth: number): void {
    const { begin, broken, oddity, nested } = found
    // Anything may look like the first opcodes of a pickle; torch's legacy format goes on with numbers.
    const isOne = broken === undefined || isPickle(bytes.subarray(begin))
    const told = broken === undefined ? found.findings : found.findings.filter(isOne ? isTold : isNoAccident) // prettier-ignore
    // Python may have named or called what is not told here before it came to the break.
    if (found.findings.length > told.length) {
      isReadOut = false
      note(`${entry || 'it'} could be a pickle that breaks at byte ${broken?.offset ?? 0}`)
    }
    if (broken === undefined || told.length > 0) hasPickle = true
    for (const finding of told) tell({ entry, ...finding })
    for (const { offset, bytes: inner } of nested)
      look(`${entry}!${offset}`, sourceOfBytes(Buffer.from(inner.buffer, inner.byteOffset, inner.length)), depth + 1) // prettier-ignore
    for (const fault of [oddity, broken])
      if (fault !== undefined && (isOne || told.length > 0))
        note(`${entry || 'it'} ${fault.why} at byte ${fault.offset}`)
  }

  function tell(finding: ScanFinding): void {
    const list = finding.isAttack ? attacks : others
    if (list.length === limits.maxFindings) return
    list.push({ ...finding, entry: shown(finding.entry), global: shown(finding.global) })
  }

  function note(what: string): void {
    if (notes.length < limits.maxFindings) notes.push(shown(what))
  }

  function miss(what: string): void {
    isWhole = false
    note(what)
  }

  look('', source, 0)
  // A thousand harmless names hide no attack.
  const findings = [...attacks, ...others].slice(0, limits.maxFindings)
  return { findings, notes, hasPickle, isWhole, isReadOut }
}

const isLocalHeader = (first: Buffer): boolean =>
  first.length >= 4 && first.readUInt32LE(0) === LOCAL

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

/** Of what begins as a pickle and breaks. */
const isTold = (finding: TraceFinding): boolean => finding.invoked || isNamed(finding)

const isNamed = ({ global }: TraceFinding): boolean => /^[\w.]+$/.test(global)

/** Numbers that are read as opcodes come to a name in letters, and a call of it, next to never. */
const isNoAccident = (finding: TraceFinding): boolean => finding.invoked && isNamed(finding)

/** More than building data. */
export const isAttack = (finding: ScanFinding): boolean => finding.isAttack
