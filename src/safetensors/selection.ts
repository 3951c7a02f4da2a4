// A file of some of the tensors of other files. The same tensors give the same bytes, in whatever order they are asked for:
//
//     header, padded to 8 · tensors by the width of their elements, widest first
//
// Each width divides the one before it, so that every tensor begins at a multiple of its own.

/** What decides on a tensor's place. */
export interface Placed {
  readonly name: string
  /** Bits of one element. */
  readonly bits: number
  /** Of its file among those of the version. */
  readonly file: number
  readonly begin: number
  readonly end: number
}

/** Sorts tensors into the order in which a selection holds them. */
export function compareForSelection(a: Placed, b: Placed): number {
  return (
    b.bits - a.bits ||
    a.file - b.file ||
    a.begin - b.begin ||
    a.end - b.end ||
    // Empty tensors may lie in one place; their names don't.
    (a.name < b.name ? -1 : Number(a.name > b.name))
  )
}

type Metadata = Readonly<Record<string, string>>

/** The entries on which all of the files agree; undefined when there is none. */
export function commonMetadata(
  files: readonly Metadata[],
): readonly (readonly [string, string])[] | undefined {
  const [first = {}, ...others] = files
  const common = Object.entries(first).filter(([key, value]) =>
    others.every((other) => Object.hasOwn(other, key) && other[key] === value),
  )
  return common.length === 0 ? undefined : common
}
