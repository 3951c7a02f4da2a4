import { LRUCache } from 'lru-cache'
import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Ledger } from '../../db/ledger.ts'
import { createAllowance, type Share } from '../allowance.ts'
import { RegistryError } from '../errors.ts'
import type { ByteRange } from '../http/range.ts'
import { preceded } from '../preceded.ts'
import { createHeaderWriter } from '../safetensors/header-writer.ts'
import { commonMetadata, compareForSelection } from '../safetensors/selection.ts'
import { sortInTurns } from '../sort-in-turns.ts'
import { gather } from '../vault/gather.ts'
import type { ReadVerified } from '../vault/read-verified.ts'
import { findTensors, type FoundTensor, type TensorsWanted } from './find-tensors.ts'
import { contextOf, type Representation } from './representation.ts'
import { notFound, type ResolvedVersion } from './resolve.ts'
import { createSegments } from './segments.ts'

/** A safetensors file of some tensors of a version. */
export interface Selected {
  readonly representation: Representation
  /** Gives its memory back, once nobody reads of it any more. */
  readonly release: () => void
}

export type Select = (resolved: ResolvedVersion, wanted: TensorsWanted) => Promise<Selected>

/** The tag of a selection follows from this too: it grows when the same tensors are laid out in another way. */
const SELECT_FORMAT = 'strongroom selection 1\n'
/** The reference reader's cap. */
const MAX_HEADER_BYTES = 100_000_000
const TENSORS_PER_TURN = 1000
const PIECE_BYTES = 1024 * 1024
const DIGESTS_KEPT = 1000
const RETRY_AFTER_SECONDS = 5

/** What a tensor takes while a selection is put together: its row, its places, and its name as text and in the header. */
const memoryOf = ({ tensor: { name, shape } }: FoundTensor): number =>
  1000 + 8 * name.length + 32 * shape.length
/** What is left of it afterwards. */
const SEGMENT_BYTES = 150

/**
 * Puts selections together. What all of them hold at once counts against `memoryBytes`.
 *
 * @throws {RegistryError} as findTensors does; NOT_FOUND when the prefix matches nothing; TOO_LARGE for more than
 *   `maxTensors`, or more memory than there is; TOO_MANY_REQUESTS while others have it.
 */
export function createSelect(parts: {
  readonly ledger: Ledger
  readonly read: ReadVerified
  readonly maxTensors: number
  readonly memoryBytes: number
}): Select {
  const { ledger, read, maxTensors, memoryBytes } = parts
  const openShare = createAllowance(memoryBytes, RETRY_AFTER_SECONDS)
  const digests = new LRUCache<string, string>({ max: DIGESTS_KEPT })

  function checkCount(count: number): void {
    if (count > maxTensors)
      throw new RegistryError('TOO_LARGE', `A selection has at most ${maxTensors} tensors.`, {
        limit: maxTensors,
      })
  }

  async function find(
    resolved: ResolvedVersion,
    wanted: TensorsWanted,
    share: Share,
  ): Promise<readonly FoundTensor[]> {
    let count = 0
    const found = await findTensors(ledger, resolved, wanted, (tensor) => {
      count += 1
      checkCount(count)
      share.take(memoryOf(tensor))
    })
    if (found.length === 0) throw notFound('tensor')
    return found
  }

  async function represent(
    resolved: ResolvedVersion,
    found: readonly FoundTensor[],
    share: Share,
  ): Promise<Representation> {
    const { header, hash, segments, files, dataBytes } = await layOut(resolved, found)
    share.keep(header.length + segments.count() * SEGMENT_BYTES)
    const tag = `derived-${hash}`
    const size = header.length + dataBytes
    const taken = new Map<string, number>()

    function piecesOf({ begin, end }: ByteRange): AsyncGenerator<Uint8Array, void, undefined> {
      const from = Math.max(0, begin - header.length)
      const data = gather(read, segments.covers(from, end - header.length), taken)
      return begin < header.length ? preceded(inPieces(header.subarray(begin, end)), data) : data
    }

    return {
      tag,
      sha256: digests.get(tag),
      size,
      files,
      taken,
      pieces: (range) =>
        range.end - range.begin === size && !digests.has(tag)
          ? hashed(piecesOf(range), (sha256) => digests.set(tag, sha256))
          : piecesOf(range),
    }
  }

  return async (resolved, wanted) => {
    checkCount(wanted.names.length)
    const share = openShare()
    try {
      const representation = await represent(resolved, await find(resolved, wanted, share), share)
      return {
        representation,
        release: () => {
          share.keep(0)
        },
      }
    } catch (error) {
      share.keep(0)
      throw error
    }
  }
}

/** Everything of the selection but the tensors' bytes; the hash is of what all of it follows from. */
async function layOut(resolved: ResolvedVersion, found: readonly FoundTensor[]) {
  const fileNumbers = new Map(resolved.files.map((file, number) => [file, number]))
  const placed = found.map(({ tensor, file, bits }) => {
    const { name, begin, end } = tensor
    return { name, bits, file: fileNumbers.get(file) ?? 0, begin, end, tensor, source: file }
  })
  const chosen = new Set(found.map(({ file }) => file))
  const files = resolved.files.filter((file) => chosen.has(file))
  const contexts = new Map(files.map((file) => [file, contextOf(resolved, file.path)]))
  const writer = createHeaderWriter(commonMetadata(files.map(({ metadata }) => metadata)))
  const segments = createSegments()
  const hash = createHash('sha256').update(SELECT_FORMAT)
  const inOrder = await sortInTurns(placed, compareForSelection)
  for (const [i, { name, begin, end, tensor, source }] of inOrder.entries()) {
    const { dtype, shape, sha256 } = tensor
    writer.add({ name, dtype, shape, size: end - begin })
    segments.add(source, contexts.get(source) ?? contextOf(resolved, source.path), begin, end)
    hash.update(sha256)
    if (i % TENSORS_PER_TURN === 0) await setImmediate()
  }
  const header = writer.finish()
  if (header.length > MAX_HEADER_BYTES)
    throw new RegistryError('TOO_LARGE', 'The header of the selection would be too long.', {
      limit: MAX_HEADER_BYTES,
    })
  for (const piece of inPieces(header)) {
    hash.update(piece)
    await setImmediate()
  }
  return { header, hash: hash.digest('hex'), segments, files, dataBytes: writer.dataBytes() }
}

function* inPieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}

/**
 * Passes bytes on and tells their SHA-256 once all of them have been taken. On this thread: a piece is at most a
 * megabyte, which takes a millisecond, responses take turns after each, and it is done once a selection.
 */
async function* hashed(
  pieces: AsyncGenerator<Uint8Array, void, undefined>,
  onDigest: (sha256: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256')
  for await (const piece of pieces) {
    hash.update(piece)
    yield piece
  }
  onDigest(hash.digest('hex'))
}
