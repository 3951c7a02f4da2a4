import { setImmediate } from 'node:timers/promises'
import type { Ledger, Tensor, VersionFile } from '../../db/ledger.ts'

/** Rows that all files together have at hand, a few milliseconds' work; each file has one at least. */
const ROWS_AT_HAND = 8192
const MAX_ROWS_PER_FILE = 500

/** One file's tensors in byte order of name: those at hand, and more behind them. */
interface Source<S> {
  readonly side: S
  readonly file: VersionFile
  rows: readonly Tensor[]
  /** The last name that was read; undefined once there are no more. */
  last: string | undefined
}

/** A tensor, and which of the merged files it is in. */
export interface SidedTensor<S> {
  readonly side: S
  readonly file: VersionFile
  readonly tensor: Tensor
}

/**
 * Merges the tensors of many files by name, in byte order and in that of the files, beginning behind `after`. They come
 * in batches, and all tensors of one name in the same one. Memory stays bounded, however many tensors there are.
 */
export async function* tensorsByName<S>(
  ledger: Ledger,
  files: readonly { readonly side: S; readonly file: VersionFile }[],
  after: string,
): AsyncGenerator<readonly SidedTensor<S>[], void, undefined> {
  const pageRows = Math.min(
    MAX_ROWS_PER_FILE,
    Math.max(1, Math.floor(ROWS_AT_HAND / Math.max(1, files.length))),
  )
  const sources = files.map(({ side, file }): Source<S> => ({ side, file, rows: [], last: after }))

  async function readOn(source: Source<S>): Promise<void> {
    if (source.rows.length > 0 || source.last === undefined) return
    source.rows = await ledger.tensorPage(source.file, source.last, pageRows)
    source.last = source.rows.length < pageRows ? undefined : source.rows.at(-1)?.name
    await setImmediate()
  }

  for (;;) {
    for (const source of sources) await readOn(source)
    const bound = lowest(sources.flatMap(({ last }) => last ?? []))
    const batch = sources.flatMap((source) => takeUpTo(source, bound))
    if (batch.length === 0) return
    yield batch.sort((a, b) => compareNames(a.tensor.name, b.tensor.name))
  }
}

/** The first name in byte order: what lies behind it may not have been read in every file. */
function lowest(names: readonly string[]): string | undefined {
  let least = names[0]
  for (const name of names) if (least !== undefined && compareNames(name, least) < 0) least = name
  return least
}

function takeUpTo<S>(source: Source<S>, bound: string | undefined): readonly SidedTensor<S>[] {
  const { side, file, rows } = source
  let count = rows.length
  if (bound !== undefined) {
    const beyond = rows.findIndex(({ name }) => compareNames(name, bound) > 0)
    if (beyond !== -1) count = beyond
  }
  source.rows = rows.slice(count)
  return rows.slice(0, count).map((tensor) => ({ side, file, tensor }))
}

/** Byte order of UTF-8, in which surrogates, which stand for what lies beyond U+FFFF, come last. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

const rank = (unit: number): number =>
  unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800
