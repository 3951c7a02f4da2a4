import { RegistryError } from '../errors.ts'
import { createTensorHasher, type TensorHasher } from '../hashing/tensor-hasher.ts'
import type { FilePath, Sha256 } from '../registry/names.ts'
import { nameAt, tensorAt } from '../safetensors/columns.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader } from '../safetensors/stream.ts'
import type { TensorItem } from './answers.ts'
import type { Connection } from './connection.ts'
import { LocalError } from './local-failure.ts'
import { UntrustedError } from './failures.ts'
import { pathOfVersion, remoteVersion, type VersionRef } from './registry.ts'

export interface SelectionWanted {
  /** Names, and beginnings of names before a `*`. */
  readonly patterns: readonly string[]
  /** The file to look in, where several hold one of the names. */
  readonly path: FilePath | undefined
}

/** A safetensors file on its way. */
export interface ComingSelection {
  readonly tensors: number
  /** Ends, or throws UntrustedError for a file that isn't of the tensors asked for. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** Gives up the bytes where they aren't read. */
  readonly abandon: () => void
}

type Listed = ReadonlyMap<string, TensorItem>

const DIGEST_BYTES = 32
/** Far more than a server takes unless told otherwise. */
const MOST_TENSORS = 200_000
/** Servers take 16 KiB of headers, the request's line included. */
const MOST_QUERY_CHARACTERS = 12_000

/**
 * Asks for a file of the tensors of `version`, whose ref is a revision, that the patterns name.
 *
 * @throws {RefusedError}, {UnreachableError}, {UntrustedError}, {LocalError}
 */
export async function fetchSelection(
  connection: Connection,
  version: VersionRef,
  wanted: SelectionWanted,
): Promise<ComingSelection> {
  const listed = await list(connection, version, wanted)
  const { body, abandon } = await connection.send({
    method: 'GET',
    path: `${pathOfVersion(version)}/select?${queryFor(wanted, listed)}`,
  })
  if (!wanted.patterns.every((pattern) => isPrefix(pattern) || listed.has(pattern))) {
    abandon()
    throw new UntrustedError('The server sends a tensor that it does not list.')
  }
  return { tensors: listed.size, bytes: checked(body, listed), abandon }
}

/** What the registry says of the tensors: one listing, of all names that begin as all patterns do. */
async function list(
  connection: Connection,
  version: VersionRef,
  { patterns, path }: SelectionWanted,
): Promise<Listed> {
  const prefix = commonBeginning(patterns.map(beginningOf))
  const query = { prefix, ...(path === undefined ? {} : { path }) }
  const isWanted = matcherOf(patterns)
  const listed = new Map<string, TensorItem>()
  for await (const tensor of remoteVersion(connection, version).tensors(query)) {
    if (!isWanted(tensor.name)) continue
    listed.set(tensor.name, tensor)
    if (listed.size > MOST_TENSORS) throw tooMany(`more than ${MOST_TENSORS} tensors`)
  }
  const names = [...listed.keys()]
  for (const prefix of patterns.filter(isPrefix).map(beginningOf)) {
    // The server would leave it out without a word where other patterns match.
    if (!names.some((name) => name.startsWith(prefix)))
      throw new RegistryError('NOT_FOUND', 'No tensor’s name begins so.', {
        what: 'tensor',
        prefix,
      })
  }
  return listed
}

const isPrefix = (pattern: string): boolean => pattern.endsWith('*')

const beginningOf = (pattern: string): string =>
  isPrefix(pattern) ? pattern.slice(0, -1) : pattern

function commonBeginning([first = '', ...others]: readonly string[]): string {
  let length = first.length
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length -= 1
  return first.slice(0, length).toWellFormed()
}

function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  const names = new Set(patterns.filter((pattern) => !isPrefix(pattern)))
  const prefixes = patterns.filter(isPrefix).map(beginningOf)
  return (name) => names.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}

/** A request has one prefix: the one that stands for most; what else is wanted is named. */
function queryFor({ patterns, path }: SelectionWanted, listed: Listed): string {
  const names = [...listed.keys()]
  const [longest, ...others] = patterns
    .filter(isPrefix)
    .map((pattern) => {
      const prefix = beginningOf(pattern)
      return { prefix, names: names.filter((name) => name.startsWith(prefix)) }
    })
    .toSorted((a, b) => b.names.length - a.names.length)
  const exact = patterns.filter((pattern) => !isPrefix(pattern))
  const named = new Set([...exact, ...others.flatMap((other) => other.names)])
  const query = new URLSearchParams()
  for (const name of named) query.append('name', name)
  if (longest !== undefined) query.append('prefix', longest.prefix)
  if (path !== undefined) query.append('path', path)
  const text = query.toString()
  if (text.length > MOST_QUERY_CHARACTERS) throw tooMany('more names than a request can hold')
  return text
}

const tooMany = (what: string): LocalError =>
  new LocalError(`These are ${what}: select fewer, by one prefix where it can be.`, {
    isWrongUse: true,
  })

/** Passes the file on as it comes; it is wrong from the first byte on that isn't of a valid file of these tensors. */
async function* checked(
  body: AsyncIterable<Uint8Array>,
  listed: Listed,
): AsyncGenerator<Uint8Array, void, undefined> {
  const validator = createValidator({ maxTensors: listed.size })
  let digests: TensorDigests | undefined
  let position = 0
  for await (const piece of body) {
    orUntrusted(() => {
      validator.write(piece)
    })
    const { header } = validator
    if (header !== undefined) {
      digests ??= digestsOf(header, listed)
      digests.update(piece, position)
    }
    position += piece.length
    yield piece
  }
  orUntrusted(() => validator.end())
  digests?.check()
}

interface TensorDigests extends TensorHasher {
  readonly check: () => void
}

/** Checks the header against the list now, and the tensors once their bytes have gone by. */
function digestsOf({ columns }: SafetensorsHeader, listed: Listed): TensorDigests {
  const { count, begins, ends } = columns
  const expected: Sha256[] = []
  for (let i = 0; i < count; i += 1) {
    const { name, dtype, shape } = tensorAt(columns, i)
    const tensor = listed.get(name)
    if (tensor?.dtype !== dtype || tensor.shape.join() !== shape.join()) throw unlike(name)
    expected.push(tensor.sha256)
  }
  if (count !== listed.size) throw new UntrustedError('The selection lacks tensors.')
  const digests = Buffer.alloc(count * DIGEST_BYTES)
  const { update } = createTensorHasher(begins, ends, digests)
  return {
    update,
    check: () => {
      expected.forEach((sha256, i) => {
        const actual = digests.toString('hex', i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)
        if (actual !== sha256) throw unlike(nameAt(columns, i))
      })
    },
  }
}

const unlike = (tensor: string): UntrustedError =>
  new UntrustedError('The selection holds another tensor than the one listed.', { tensor })

function orUntrusted(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new UntrustedError(`The selection is not valid safetensors: ${error.message}.`)
  }
}
