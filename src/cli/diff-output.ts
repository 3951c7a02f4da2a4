import type { DiffPage } from '../client/answers.ts'
import { RegistryError } from '../errors.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, createRows, grouped, numberInWords, shapeInWords } from './words.ts'

/** Takes the pages of a comparison as they come. */
export interface DiffOutput {
  readonly add: (page: DiffPage) => void
  readonly end: () => void
}

interface Columns {
  readonly withValues: boolean
  /** Where a version has several files. */
  readonly withPath: boolean
}

type Changed = DiffPage['changed'][number]
type Tensor = DiffPage['added'][number]

/** A table that a person reads, and a line that sums it up. */
export function createDiffTable({ say }: Shell, { withValues, withPath }: Columns): DiffOutput {
  const counts = { added: 0, removed: 0, changed: 0, same: 0 }
  const values = withValues ? ['rel l2', 'max abs'] : []
  const path = withPath ? ['path'] : []
  const rows = createRows(say, ['', 'name', 'dtype', 'shape', 'size', ...values, ...path])
  const none = values.map(() => '')
  const rowOf = (sign: string, tensor: Tensor): readonly string[] => [
    ...[sign, tensor.name, tensor.dtype, shapeInWords(tensor.shape), bytesInWords(tensor.size)],
    ...none,
    ...(withPath ? [tensor.path] : []),
  ]
  const changedRow = ({ name, from, dtype, shape, size, path, ...by }: Changed): string[] => [
    ...['~', name, moved(from.dtype, dtype), moved(shapeInWords(from.shape), shapeInWords(shape))],
    bytesInWords(size),
    ...(withValues ? [by.relative_l2 ?? null, by.max_abs ?? null].map(numberInWords) : []),
    ...(withPath ? [moved(from.path, path)] : []),
  ]
  return {
    add: ({ added, removed, changed, same }) => {
      const found = [
        ...removed.map((tensor) => ({ tensor, row: rowOf('-', tensor) })),
        ...added.map((tensor) => ({ tensor, row: rowOf('+', tensor) })),
        ...changed.map((tensor) => ({ tensor, row: changedRow(tensor) })),
      ]
      found.sort((a, b) =>
        a.tensor.name < b.tensor.name ? -1 : Number(a.tensor.name > b.tensor.name),
      )
      for (const { row } of found) rows.add(row)
      counts.added += added.length
      counts.removed += removed.length
      counts.changed += changed.length
      counts.same += same
    },
    end: () => {
      rows.end()
      const { added, removed, changed, same } = counts
      say(
        `${grouped(added)} added, ${grouped(removed)} removed, ${grouped(changed)} changed, ${grouped(same)} the same`,
      )
    },
  }
}

const moved = (before: string, now: string): string => (before === now ? now : `${before} → ${now}`)

/** As texts of a few hundred characters each. */
const MOST_DIFFERENCES = 1_000_000

/** The document that the registry gives, in one piece. */
export function createDiffDocument({ say }: Shell): DiffOutput {
  const lists = { added: [] as string[], removed: [] as string[], changed: [] as string[] }
  let sides: Pick<DiffPage, 'from' | 'to'> | undefined
  let sameCount = 0
  let count = 0
  return {
    add: ({ from, to, same, ...page }) => {
      sides = { from, to }
      sameCount += same
      for (const list of ['added', 'removed', 'changed'] as const) {
        for (const tensor of page[list]) lists[list].push(JSON.stringify(tensor))
        count += page[list].length
      }
      if (count > MOST_DIFFERENCES) {
        const sentence = `More than ${MOST_DIFFERENCES} tensors differ: ask the registry page by page.`
        throw new RegistryError('TOO_LARGE', sentence, { limit: MOST_DIFFERENCES })
      }
    },
    end: () => {
      say('{')
      for (const [list, tensors] of Object.entries(lists)) {
        say(`"${list}":[`)
        tensors.forEach((tensor, i) => {
          say(i === tensors.length - 1 ? tensor : `${tensor},`)
        })
        say('],')
      }
      say(JSON.stringify({ ...sides, same: sameCount }).slice(1))
    },
  }
}
