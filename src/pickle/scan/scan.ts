import { inflateRawSync } from 'node:zlib'
import { HEAD_BYTES } from '../../safetensors/sniff.ts'
import { sniffPickle } from '../../safetensors/sniff-pickle.ts'
import type { Source } from '../source.ts'
import { isHarmless } from './harmless.ts'
import { trace, type TraceFinding, type TraceLimits } from './trace.ts'
import { zipEntries, type ZipEntriesLimits, type ZipEntry } from './zip-entries.ts'

export interface ScanLimits extends TraceLimits, ZipEntriesLimits {
  /** Of one entry; what follows isn't looked at, and that is said. */
  readonly maxEntryBytes: number
  /** Of all that is unpacked of compressed entries. */
  readonly maxInflatedBytes: number
  /** Pickles in pickles. */
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
  let inflated = 0

  function read(entry: string, bytes: Uint8Array, depth: number): void {
    for (let at = 0; at < bytes.length;) {
      // Behind the first one there may be anything: torch's legacy format goes on with numbers.
      if (at > 0 && !isPickle(bytes.subarray(at))) return
      const { end, findings: found, nested, broken } = trace(bytes, at, limits)
      const told = broken === undefined ? found : found.filter(isNoAccident)
      if (broken === undefined || told.length > 0) hasPickle = true
      for (const finding of told) tell({ entry, ...finding })
      for (const { offset, bytes: inner } of nested)
        if (depth < limits.maxNesting && isPickle(inner))
          read(`${entry}!${offset}`, inner, depth + 1)
      if (broken !== undefined) {
        if (isPickle(bytes.subarray(at)))
          notes.push(`${entry} ${broken.why} at byte ${broken.offset}`)
        return
      }
      at = end
    }
  }

  function tell(finding: ScanFinding): void {
    if (findings.length < limits.maxFindings) findings.push(finding)
  }

  /** An entry's bytes, or as many as are looked at. */
  function bytesOf({ name, method, isEncrypted, begin, storedBytes }: ZipEntry): Buffer {
    const length = Math.max(0, Math.min(storedBytes, source.sizeBytes - begin))
    if (isEncrypted) notes.push(`${name} is encrypted`)
    if (method === 0) return head(begin, length)
    const most = Math.min(limits.maxEntryBytes, limits.maxInflatedBytes - inflated)
    try {
      const bytes = inflateRawSync(source.take(begin, Math.min(length, limits.maxEntryBytes)), { maxOutputLength: Math.max(1, most) }) // prettier-ignore
      inflated += bytes.length
      return bytes
    } catch {
      notes.push(`${name} could not be unpacked`)
      return Buffer.alloc(0)
    }
  }

  /** What holds no pickle at its beginning is not read further. */
  function head(begin: number, length: number): Buffer {
    const first = source.take(begin, Math.min(length, HEAD_BYTES))
    if (!isPickle(first)) return first
    return source.take(begin, Math.min(length, limits.maxEntryBytes))
  }

  const entries = zipEntries(source, limits)
  for (const entry of entries) read(entry.name, bytesOf(entry), 0)
  // A pickle that an archive was appended to is one all the same.
  const whole = head(0, source.sizeBytes)
  if (entries.length === 0 || isPickle(whole)) read('', whole, 0)
  return { findings, notes, hasPickle }
}

function isPickle(bytes: Uint8Array): boolean {
  const guess = sniffPickle(bytes.subarray(0, HEAD_BYTES))
  return guess !== undefined && guess.looksLike !== 'unknown'
}

/** Numbers that are read as opcodes come to a name in letters, and a call of it, next to never. */
const isNoAccident = ({ invoked, global }: TraceFinding): boolean =>
  invoked && /^[\w.]+$/.test(global)

export type Verdict = 'clean' | 'refused' | 'dangerous'

/** Calls of what isn't known to build plain data. Making an object of a class without arguments of its own is no call. */
const isAttack = ({ invoked, via, global }: ScanFinding): boolean =>
  invoked && via !== 'NEWOBJ' && (via !== 'BUILD' || global.endsWith('.__dict__')) && !isHarmless(global) // prettier-ignore

/** @param isConvertible whether all but the tensors' bytes was read without complaint. */
export function verdictOf({ findings }: Pickles, isConvertible: boolean): Verdict {
  if (findings.some(isAttack)) return 'dangerous'
  return findings.length === 0 && isConvertible ? 'clean' : 'refused'
}
