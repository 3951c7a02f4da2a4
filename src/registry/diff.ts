import type { Ledger, Tensor, VersionFile } from '../../db/ledger.ts'
import type { ResolvedVersion } from './resolve.ts'
import { type SidedTensor, tensorsByName } from './tensors-by-name.ts'

type Side = 'from' | 'to'
export type DiffTensor = SidedTensor<Side>

export interface Change {
  readonly from: DiffTensor
  readonly to: DiffTensor
}

/** A page of the differences between two versions, each list in byte order of name. */
export interface DiffPage {
  readonly added: readonly DiffTensor[]
  readonly removed: readonly DiffTensor[]
  readonly changed: readonly Change[]
  /**
   * Tensors that were passed on the way and are the same; those in files that both versions share count on the first
   * page, so that all pages add up to all of them.
   */
  readonly same: number
  /** The last name that was looked at; undefined when there is nothing behind it. */
  readonly next: string | undefined
}

/** A page ends with the work, too: about a second of it. */
const MAX_PASSED = 200_000
/** Of names, paths and shapes in UTF-16 units: what a page's answer may hold. */
const MAX_TOLD = 4 * 1024 * 1024

/**
 * Compares the tensors of two versions by name, and by what they are: bytes (their SHA-256), dtype and shape. In which
 * file a tensor lies, and where, makes no difference. Where a name lies in several files, the same tensors are paired
 * first, then those of equal paths, then what is left in order of path.
 *
 * @param after the `next` of the page before; '' for the first.
 * @param limit of differences; a page ends between two names, so that one name in many files may exceed it.
 */
export async function diffVersions(
  ledger: Ledger,
  from: ResolvedVersion,
  to: ResolvedVersion,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<DiffPage> {
  const { files, shared } = filesToCompare(from.files, to.files)
  const page = createPage(limit)
  if (after === '') page.countSame(shared)
  for await (const batch of tensorsByName(ledger, files, after)) {
    for (const tensors of groupsOf(batch)) if (!page.take(tensors)) return page.end('more')
  }
  return page.end('all')
}

/** Files of the same bytes on both sides needn't be read: all that is in them is the same. */
function filesToCompare(
  from: readonly VersionFile[],
  to: readonly VersionFile[],
): { files: readonly { side: Side; file: VersionFile }[]; shared: number } {
  const left = new Map<number, number>()
  for (const { blob } of from) left.set(blob.id, (left.get(blob.id) ?? 0) + 1)
  const paired = new Map<number, number>()
  let shared = 0
  for (const { blob, tensors } of to) {
    const count = paired.get(blob.id) ?? 0
    if (count === (left.get(blob.id) ?? 0)) continue
    paired.set(blob.id, count + 1)
    shared += tensors
  }
  const rest = (files: readonly VersionFile[], side: Side) => {
    const skip = new Map(paired)
    return files.flatMap((file) => {
      const count = skip.get(file.blob.id) ?? 0
      skip.set(file.blob.id, count - 1)
      return count > 0 || file.tensors === 0 ? [] : [{ side, file }]
    })
  }
  return { files: [...rest(from, 'from'), ...rest(to, 'to')], shared }
}

/** Runs of one name. */
function* groupsOf(batch: readonly DiffTensor[]): Generator<readonly DiffTensor[]> {
  for (let begin = 0, end = 0; begin < batch.length; begin = end) {
    const name = batch[begin]?.tensor.name
    while (batch[end]?.tensor.name === name && end < batch.length) end += 1
    yield batch.slice(begin, end)
  }
}

function createPage(limit: number) {
  const added: DiffTensor[] = []
  const removed: DiffTensor[] = []
  const changed: Change[] = []
  let same = 0
  let passed = 0
  let told = 0
  let last: string | undefined

  const count = (): number => added.length + removed.length + changed.length

  function isFull(differences: number): boolean {
    if (passed >= MAX_PASSED) return true
    return count() > 0 && (count() + differences > limit || told >= MAX_TOLD)
  }

  return {
    countSame: (tensors: number): void => {
      same += tensors
    },
    /** Takes all tensors of a name; false when the page has no room for them. */
    take: (tensors: readonly DiffTensor[]): boolean => {
      const group = pair(tensors)
      if (isFull(group.added.length + group.removed.length + group.changed.length)) return false
      for (const tensor of group.added) added.push(tensor)
      for (const tensor of group.removed) removed.push(tensor)
      for (const change of group.changed) changed.push(change)
      same += group.same
      passed += tensors.length
      const differing = [...group.added, ...group.removed, ...group.changed.flatMap(bothOf)]
      told += differing.reduce((sum, { tensor }) => sum + lengthOf(tensor), 0)
      last = tensors[0]?.tensor.name
      return true
    },
    end: (what: 'more' | 'all'): DiffPage => ({
      added,
      removed,
      changed,
      same,
      next: what === 'more' ? last : undefined,
    }),
  }
}

const bothOf = ({ from, to }: Change): readonly DiffTensor[] => [from, to]

const DIMENSION_UNITS = 4
const lengthOf = ({ name, path, shape }: Tensor): number =>
  name.length + path.length + DIMENSION_UNITS * shape.length

/** Pairs the tensors of one name: the same ones, then those of equal paths, then the rest in order. */
function pair(tensors: readonly DiffTensor[]): Omit<DiffPage, 'next'> {
  const from = tensors.filter(({ side }) => side === 'from')
  const to = tensors.filter(({ side }) => side === 'to')
  const bySame = match(from, to, contentOf)
  const byPath = match(bySame.from, bySame.to, ({ tensor }) => tensor.path)
  const inOrder = match(byPath.from, byPath.to, () => '')
  return {
    added: inOrder.to,
    removed: inOrder.from,
    changed: [...byPath.pairs, ...inOrder.pairs],
    same: bySame.pairs.length,
  }
}

const contentOf = ({ tensor: { sha256, dtype, shape } }: DiffTensor): string =>
  `${sha256} ${dtype} ${shape.join()}`

/** Pairs those of equal keys, first with first; and what is left on either side. */
function match(
  from: readonly DiffTensor[],
  to: readonly DiffTensor[],
  keyOf: (tensor: DiffTensor) => string,
): { pairs: readonly Change[]; from: readonly DiffTensor[]; to: readonly DiffTensor[] } {
  if (from.length === 0 || to.length === 0) return { pairs: [], from, to }
  const waiting = Map.groupBy(from, keyOf)
  const pairs: Change[] = []
  const left = to.filter((tensor) => {
    const first = waiting.get(keyOf(tensor))?.shift()
    if (first !== undefined) pairs.push({ from: first, to: tensor })
    return first === undefined
  })
  const paired = new Set(pairs.map((change) => change.from))
  return { pairs, from: from.filter((tensor) => !paired.has(tensor)), to: left }
}
