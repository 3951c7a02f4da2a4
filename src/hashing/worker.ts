import { createHash, hash, type Hash } from 'node:crypto'
import { readSync } from 'node:fs'
import { platform, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { checkTiling } from '../safetensors/tiling.ts'
import type { SidecarForm } from '../sidecars/forms.ts'
import { createSidecarJudge, type SidecarJudge } from '../sidecars/judge.ts'
import { checkIndex } from './check-index.ts'
import { compareValues } from './compare-values.ts'
import type {
  CheckTiling,
  CheckTilingResult,
  FromWorker,
  Job,
  ReadLeaf,
  ReadLeafResult,
  Rehash,
  Results,
  SidecarResult,
  SlotRange,
  ToWorker,
} from './jobs.ts'
import { createStatistics, type Statistics } from './statistics.ts'
import { createSummingUnit, type SummingUnit } from './summing.ts'
import { createTensorHasher, type TensorHasher } from './tensor-hasher.ts'

const segments = new Map<number, SharedArrayBuffer>()
const wholes = new Map<number, Hash>()
const tensorHashers = new Map<number, TensorHasher>()
const statistics = new Map<number, Statistics>()
let unit: SummingUnit | undefined
const sidecars = new Map<number, SidecarJudge>()
let scratch = new Uint8Array(0)

const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')

function view({ segment, offset, length }: SlotRange): Uint8Array {
  const buffer = segments.get(segment)
  if (buffer === undefined) throw new Error(`segment ${segment} was never shared`)
  return new Uint8Array(buffer, offset, length)
}

/** Reads until `into` is full or the file ends; returns the bytes read. */
function readFully(fd: number, into: Uint8Array, position: number): number {
  let done = 0
  while (done < into.length) {
    const read = readSync(fd, into, done, into.length - done, position + done)
    if (read === 0) break
    done += read
  }
  return done
}

function readLeaf({ fd, position, into, expected }: ReadLeaf): ReadLeafResult {
  const bytes = view(into)
  if (readFully(fd, bytes, position) < bytes.length) return 'short'
  return sha256(bytes).equals(expected) ? 'verified' : 'mismatch'
}

function wholeOf(session: number): Hash {
  const known = wholes.get(session)
  if (known !== undefined) return known
  const made = createHash('sha256')
  wholes.set(session, made)
  return made
}

function rehash({ session, fd, position, length, chunkSize, leaves }: Rehash): number {
  if (scratch.length < chunkSize) scratch = new Uint8Array(chunkSize)
  const whole = wholeOf(session)
  for (let leaf = 0, done = 0; done < length; leaf++, done += chunkSize) {
    const bytes = scratch.subarray(0, Math.min(chunkSize, length - done))
    if (readFully(fd, bytes, position + done) < bytes.length) return leaf
    if (!sha256(bytes).equals(leaves.subarray(leaf * 32, leaf * 32 + 32))) return leaf
    whole.update(bytes)
  }
  return -1
}

function tilingOf({ columns, dataBegin }: CheckTiling): CheckTilingResult {
  try {
    return checkTiling(columns, dataBegin)
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const { reason, message, offset, tensor } = error
    return { reason, message, offset, tensor }
  }
}

function tensorHasherOf(session: number): TensorHasher {
  const hasher = tensorHashers.get(session)
  if (hasher === undefined) throw new Error('tensors of an unknown session')
  return hasher
}

function statisticsOf(session: number): Statistics {
  const known = statistics.get(session)
  if (known === undefined) throw new Error('statistics of an unknown session')
  return known
}

function sidecarOf(session: number, form: SidecarForm): SidecarJudge {
  const known = sidecars.get(session)
  if (known !== undefined) return known
  const made = createSidecarJudge(form)
  sidecars.set(session, made)
  return made
}

function refusalOf(judge: () => void): SidecarResult {
  try {
    judge()
    return undefined
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const { message, offset, looksLike } = error
    return { message, offset, looksLike }
  }
}

function perform(job: Job): Results[keyof Results] {
  switch (job.kind) {
    case 'read_leaf':
      return readLeaf(job)
    case 'hash_leaf':
      return new Uint8Array(sha256(view(job.from)))
    case 'whole_update':
      wholeOf(job.session).update(view(job.from))
      return undefined
    case 'whole_digest':
      return new Uint8Array(wholeOf(job.session).digest())
    case 'tensors_open':
      tensorHashers.set(job.session, createTensorHasher(job.begins, job.ends, job.digests))
      return undefined
    case 'tensors_update':
      tensorHasherOf(job.session).update(view(job.from), job.position)
      return undefined
    case 'statistics_open':
      unit ??= createSummingUnit()
      statistics.set(job.session, createStatistics(job, unit))
      return undefined
    case 'statistics_update':
      statisticsOf(job.session).update(view(job.from), job.position)
      return undefined
    case 'statistics_take':
      return statisticsOf(job.session).column
    case 'sidecar_update':
      return refusalOf(() => {
        sidecarOf(job.session, job.form).write(job.bytes)
      })
    case 'sidecar_end':
      return refusalOf(sidecarOf(job.session, job.form).end)
    case 'end_session':
      sidecars.delete(job.session)
      wholes.delete(job.session)
      tensorHashers.delete(job.session)
      statistics.get(job.session)?.end()
      statistics.delete(job.session)
      return undefined
    case 'rehash':
      return rehash(job)
    case 'check_tiling':
      return tilingOf(job)
    case 'check_index':
      return checkIndex(job.text, job.shards)
    case 'compare_values':
      return compareValues(job.from, job.fromDtype, job.to, job.toDtype)
  }
}

function answer(message: FromWorker): void {
  const moves = 'result' in message && message.result instanceof Float64Array
  parentPort?.postMessage(message, moves ? [message.result.buffer] : [])
}

// On Linux a thread's priority is its own. The event loop's thread does little and is waited for by everyone:
// where cores are short, hashing steps back for it.
if (parentPort !== null && platform() === 'linux') setPriority(0, 5)

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind === 'segment') {
    segments.set(message.segment, message.buffer)
    return
  }
  const { id, job } = message
  try {
    answer({ id, result: perform(job) })
  } catch (error) {
    answer({ id, error: error instanceof Error ? error : new Error(String(error)) })
  }
})
