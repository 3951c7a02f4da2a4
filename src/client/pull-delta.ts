// A version of which the caller has most already: its bytes are copied from files of an earlier version wherever
// tensors or leaves of both have the same SHA-256, and fetched otherwise.

import type { TensorItem } from './answers.ts'
import { type BaseFile, openBaseFile } from './base-files.ts'
import { UntrustedError } from './failures.ts'
import { atMost } from './pages.ts'
import { createPieces, type PiecesBuilder } from './pieces.ts'
import type { ByteSource, Leaves, WantedFile } from './pull-file.ts'
import type { RemoteVersion } from './registry.ts'
import {
  type Plan,
  planFrom,
  type Segment,
  stepsOf,
  without,
  withoutShortRuns,
} from './reuse-plan.ts'

/** A file and how many tensors it is said to hold. */
export interface DescribedFile extends WantedFile {
  readonly tensors: number
}

/** An earlier version, as far as it lies on this machine. */
export interface LocalBase {
  readonly files: readonly BaseFile[]
  readonly plan: Plan
  close(): Promise<void>
}

export interface Tally {
  readonly fetchedBytes: number
  readonly reusedBytes: number
}

/** Where a file's bytes come from, and what became of it. */
export interface CountedSource extends ByteSource {
  tally(): Tally
}

/** Smaller files cost less to fetch than to ask about. */
const LEAST_FILE_BYTES = 64 * 1024
/** Smaller tensors cost about as much to list as to fetch. */
const LEAST_TENSOR_BYTES = 8 * 1024
/** As many as a registry takes in a file. */
const MOST_TENSORS = 1_000_000
const MOST_OPEN_FILES = 500
const READ_BYTES = 1024 * 1024

/**
 * Opens what there is of `version` below `folder`. A file that isn't there, or not as the registry has it, is told
 * to `onUnusable`.
 */
export async function openBase(
  version: RemoteVersion,
  described: readonly DescribedFile[],
  folder: string,
  onUnusable: (file: WantedFile, why: string) => void,
): Promise<LocalBase> {
  const files: BaseFile[] = []
  const close = async (): Promise<void> => {
    for (const file of files) await file.close()
  }
  const pieces = createPieces()
  try {
    for (const file of described.filter(isWorthAsking)) {
      const opened =
        files.length < MOST_OPEN_FILES
          ? await openBaseFile(folder, file)
          : `${MOST_OPEN_FILES} files are open already`
      if (typeof opened === 'string') {
        onUnusable(file, opened)
        continue
      }
      files.push(opened)
      await addPieces(pieces, version, file, files.length - 1, await version.leaves(file))
    }
    return { files, plan: planFrom(pieces.finish()), close }
  } catch (error) {
    await close()
    throw error
  }
}

const isWorthAsking = ({ size }: WantedFile): boolean => size >= LEAST_FILE_BYTES

const isWorthListing = ({ size, tensors }: DescribedFile): boolean =>
  tensors > 0 && tensors <= MOST_TENSORS && size / tensors >= LEAST_TENSOR_BYTES

async function addPieces(
  pieces: PiecesBuilder,
  version: RemoteVersion,
  file: DescribedFile,
  index: number,
  { leaves, chunk_size: chunkSize }: Leaves,
): Promise<void> {
  leaves.forEach((sha256, i) => {
    pieces.add(sha256, index, i * chunkSize, Math.min((i + 1) * chunkSize, file.size))
  })
  if (!isWorthListing(file)) return
  for await (const tensor of atMost(version.tensors({ path: file.path }), file.tensors)) {
    if (!isWithin(tensor, file)) {
      throw new UntrustedError("The tensors are not this file's.", { path: file.path })
    }
    pieces.add(tensor.sha256, index, tensor.begin, tensor.end)
  }
}

const isWithin = ({ path, begin, end }: TensorItem, file: WantedFile): boolean =>
  path === file.path && begin <= end && end <= file.size

/** What of `file` can be copied from the base. */
export async function segmentsOf(
  base: LocalBase,
  version: RemoteVersion,
  file: DescribedFile,
  leaves: Leaves,
): Promise<readonly Segment[]> {
  if (base.files.length === 0 || !isWorthAsking(file)) return []
  const pieces = createPieces()
  await addPieces(pieces, version, file, 0, leaves)
  return base.plan(pieces.finish())
}

/** Brings the bytes of `file`: those of the segments from the base, all others from the registry. */
export function sourceOf(
  version: RemoteVersion,
  file: WantedFile,
  planned: readonly Segment[],
  base: readonly BaseFile[],
): CountedSource {
  let segments = planned
  let fetchedBytes = 0
  let firstByte: number | undefined
  let doubted = { end: -1, spanBytes: 0 }

  async function* fetched(begin: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of version.bytes(file, begin, end)) {
      fetchedBytes += piece.length
      yield piece
    }
  }

  return {
    async *bytes(begin) {
      firstByte ??= begin
      for (const { begin: from, end, segment } of stepsOf(segments, begin, file.size)) {
        if (segment === undefined) yield* fetched(from, end)
        else yield* copied(base[segment.file], segment.at + from - segment.begin, end - from)
      }
    },
    doubt(begin, end) {
      if (!segments.some((segment) => segment.begin < end && segment.end > begin)) return false
      // A base that is wrong from here on is given up in a few steps, one with a wrong byte loses little.
      const spanBytes = begin === doubted.end ? doubted.spanBytes * 2 : end - begin
      doubted = { end: begin + spanBytes, spanBytes }
      const copiedAlready = without(segments, begin, file.size)
      segments = [...copiedAlready, ...withoutShortRuns(without(segments, 0, doubted.end))]
      return true
    },
    tally() {
      const from = firstByte ?? file.size
      const reusedBytes = segments.reduce(
        (sum, { begin, end }) => sum + Math.max(0, end - Math.max(begin, from)),
        0,
      )
      return { fetchedBytes, reusedBytes }
    },
  }
}

async function* copied(
  base: BaseFile | undefined,
  at: number,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(Math.min(READ_BYTES, sizeBytes))
  for (let done = 0; done < sizeBytes; done += buffer.length) {
    const bytes = buffer.subarray(0, sizeBytes - done)
    await base?.read(bytes, at + done)
    yield bytes
  }
}
