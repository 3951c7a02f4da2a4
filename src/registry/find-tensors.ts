import { setImmediate } from 'node:timers/promises'
import type { Ledger, Tensor, VersionFile } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { bytesOfElements, DTYPES } from '../safetensors/dtypes.ts'
import { parseFilePath } from './names.ts'
import { nearestNames } from './nearest-names.ts'
import { fileOf, notFound, type ResolvedVersion } from './resolve.ts'

/** A tensor that a caller named, and the file that holds it. */
export interface FoundTensor {
  readonly tensor: Tensor
  readonly file: VersionFile
  /** Of one element. */
  readonly bits: number
}

/** Which tensors of a version are meant. `path` says in which file, where several hold a name. */
export interface TensorsWanted {
  readonly names: readonly string[]
  readonly prefix?: string | undefined
  readonly path?: string | undefined
}

/** Names that are looked up in one go, and rows that are read in one: each a few milliseconds. */
const NAMES_PER_TURN = 500
const ROWS_PER_TURN = 500
/** Each name is looked up in each file. */
const MAX_LOOK_UPS = 500_000
const MAX_TOLD = 100
/** Of the shortest header and its length: no tensor begins before. */
const LEAST_HEADER_BYTES = 10

/** @throws {RegistryError} NOT_FOUND with the nearest names; INVALID_REQUEST when several files hold the name. */
export async function findTensor(
  ledger: Ledger,
  resolved: ResolvedVersion,
  name: string,
  path: string | undefined,
): Promise<FoundTensor> {
  const [found] = await findTensors(ledger, resolved, { names: [name], path }, () => undefined)
  if (found === undefined) throw notFound('tensor')
  return found
}

/**
 * The tensors that have one of the names, or begin with the prefix, each once. `onFound` hears of each before more are
 * looked for, and may throw when they get too many.
 *
 * @throws {RegistryError} NOT_FOUND with the nearest names; INVALID_REQUEST when several files hold a name;
 *   TOO_LARGE for more names than can be looked up; INTEGRITY_FAILURE for a row that can't be.
 */
export async function findTensors(
  ledger: Ledger,
  resolved: ResolvedVersion,
  { names, prefix, path }: TensorsWanted,
  onFound: (found: FoundTensor) => void,
): Promise<readonly FoundTensor[]> {
  const files = filesIn(resolved, path)
  const byName = new Map<string, FoundTensor[]>()
  const add = (tensor: Tensor, file: VersionFile): void => {
    const homonyms = byName.get(tensor.name) ?? []
    if (homonyms.some((other) => other.file === file)) return
    const found = { tensor, file, bits: checkedBits(tensor, file) }
    onFound(found)
    homonyms.push(found)
    byName.set(tensor.name, homonyms)
  }
  await addNamed(ledger, files, [...new Set(names)], add)
  for (const name of names) if (!byName.has(name)) throw await unknownTensor(ledger, files, name)
  if (prefix !== undefined) await addPrefixed(ledger, resolved, files, { prefix, path }, add)
  const found: FoundTensor[] = []
  for (const [name, [first, ...others]] of byName) {
    if (first === undefined) continue
    if (others.length > 0) throw ambiguous(name, [first, ...others])
    found.push(first)
  }
  return found
}

const filesIn = (resolved: ResolvedVersion, path: string | undefined): readonly VersionFile[] =>
  path === undefined
    ? resolved.files.filter(({ blob }) => blob.kind === 'safetensors')
    : [fileOf(resolved, parseFilePath(path))]

type Add = (tensor: Tensor, file: VersionFile) => void

async function addNamed(
  ledger: Ledger,
  files: readonly VersionFile[],
  names: readonly string[],
  add: Add,
): Promise<void> {
  if (names.length * files.length > MAX_LOOK_UPS) {
    throw new RegistryError('TOO_LARGE', 'Too many names for so many files; say which file.', {
      limit: MAX_LOOK_UPS,
    })
  }
  let since = 0
  for (const file of files) {
    for (let at = 0; at < names.length; at += NAMES_PER_TURN) {
      const some = names.slice(at, at + NAMES_PER_TURN)
      for (const tensor of await ledger.tensorsNamed(file, some)) add(tensor, file)
      since += some.length
      if (since < NAMES_PER_TURN) continue
      since = 0
      await setImmediate()
    }
  }
}

async function addPrefixed(
  ledger: Ledger,
  { version }: ResolvedVersion,
  files: readonly VersionFile[],
  wanted: { readonly prefix: string; readonly path: string | undefined },
  add: Add,
): Promise<void> {
  const byPath = new Map(files.map((file) => [file.path, file]))
  let after: Tensor | undefined
  do {
    const query = { ...wanted, versionId: version.id, after, limit: ROWS_PER_TURN }
    const page = await ledger.tensorsOf(query)
    for (const tensor of page) {
      const file = byPath.get(tensor.path)
      if (file !== undefined) add(tensor, file)
    }
    await setImmediate()
    after = page.length < ROWS_PER_TURN ? undefined : page.at(-1)
  } while (after !== undefined)
}

/**
 * A row must not lead out of its file, nor make a tensor of other bytes than its own count, even where its digest was
 * altered along with it (db/row-digest.ts).
 */
export function checkedBits(
  { dtype, shape, begin, end }: Tensor,
  { path, blob }: VersionFile,
): number {
  const code = DTYPES.findIndex(({ name }) => name === dtype)
  const elements = shape.includes(0) ? 0 : shape.reduce((product, dim) => product * dim, 1)
  const bits = DTYPES[code]?.bits
  const isInside = begin >= LEAST_HEADER_BYTES && end <= blob.size
  const fits = isInside && bytesOfElements(code, elements) === end - begin
  if (bits === undefined || !fits) {
    throw new RegistryError(
      'INTEGRITY_FAILURE',
      'The ledger’s row of a tensor doesn’t fit its file.',
      { path, chunk: null },
    )
  }
  return bits
}

async function unknownTensor(
  ledger: Ledger,
  files: readonly VersionFile[],
  name: string,
): Promise<RegistryError> {
  return new RegistryError('NOT_FOUND', 'There is no such tensor.', {
    what: 'tensor',
    tensor: name,
    nearest: await nearestNames(ledger, files, name),
  })
}

const ambiguous = (tensor: string, homonyms: readonly FoundTensor[]): RegistryError =>
  new RegistryError('INVALID_REQUEST', 'Several files hold a tensor of this name.', {
    errors: [{ field: 'query.path', detail: 'is needed: several files hold this tensor' }],
    tensor,
    paths: homonyms.slice(0, MAX_TOLD).map(({ file }) => file.path),
  })
