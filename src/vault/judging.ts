import type { FileDigests } from '../hashing/file-digests.ts'
import type { CheckTilingResult } from '../hashing/jobs.ts'
import type { HashPool } from '../hashing/pool.ts'
import type { HeaderColumns } from '../safetensors/columns.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader } from '../safetensors/stream.ts'
import { createSidecarCheck } from '../sidecars/check.ts'
import type { SidecarForm } from '../sidecars/forms.ts'
import { createSidecarJudge } from '../sidecars/judge.ts'
import type { NextTurn } from '../turns.ts'
import { createGrowingText } from './growing-text.ts'
import type { SlotReader } from './slot-writer.ts'

/** What a file is judged as: its name and its checkpoint's policy decide. */
export type FileKind = 'safetensors' | 'index' | SidecarForm

/** What the judging of a file leaves, beside its verdict. */
export interface Judged {
  readonly header?: SafetensorsHeader
  readonly indexText?: Uint8Array
}

/** Judges a file while it is stored and hashed. */
export interface Judging {
  /** The next bytes as they came in, before anything else is done with them. */
  take: (chunk: Uint8Array) => Promise<void> | void
  /** Given the same bytes once more, in memory that workers see. */
  readonly slotReaders: readonly SlotReader[]
  /** The file is over, and every slot was read. */
  finish: () => Promise<Judged> | Judged
  /** Once no slot is being read any more. */
  end?: () => void
}

const LARGE_HEADER_BYTES = 1024 * 1024
/** Judged in a few milliseconds; so many uploads have their turn in one round of the event loop. */
const HEADER_BYTES_A_TURN = 192 * 1024
/** An out-of-order header with more tensors than this is sorted off the main thread. */
const SORT_HERE_TENSORS = 20_000

/** The header is judged as it arrives; `hold` is asked for the memory that a large one takes. */
export function judgeSafetensors(parts: {
  readonly pool: HashPool
  readonly digests: FileDigests
  readonly nextTurn: NextTurn
  readonly hold: (bytes: number) => void
  readonly announcedBytes: number | undefined
  readonly maxTensors: number
}): Judging {
  const { pool, digests, nextTurn, hold, announcedBytes, maxTensors } = parts
  const validator = createValidator({
    fileBytes: announcedBytes,
    maxTensors,
    deferTilingAbove: SORT_HERE_TENSORS,
  })
  let sinceTurn = 0

  return {
    take: async (chunk) => {
      // One round of the event loop can bring 2 MiB: so much of a header would keep it for 60 ms and more.
      sinceTurn += validator.header === undefined ? chunk.length : 0
      if (sinceTurn > HEADER_BYTES_A_TURN) {
        sinceTurn = 0
        await nextTurn()
      }
      const known = validator.headerBytes
      const before = validator.header
      validator.write(chunk)
      const bytes = validator.headerBytes ?? 0
      // Before the rest of it is taken in.
      if (known === undefined && bytes > LARGE_HEADER_BYTES) hold(bytes)
      const header = validator.header
      if (before !== undefined || header === undefined) return
      if (!header.tiled) await checkTilingElsewhere(pool, header)
      digests.expectTensors(header.columns)
    },
    slotReaders: [],
    finish: () => ({ header: validator.end() }),
  }
}

async function checkTilingElsewhere(pool: HashPool, header: SafetensorsHeader): Promise<void> {
  const { columns, dataBegin } = header
  const check = (what: HeaderColumns): Promise<CheckTilingResult> =>
    pool.run('upload', { kind: 'check_tiling', columns: what, dataBegin })
  // Names are most of a header, and copying takes its time: all but offsets follows only when a name must be told.
  const nameless: HeaderColumns = {
    count: columns.count,
    begins: columns.begins,
    ends: columns.ends,
    names: new Uint8Array(0),
    nameEnds: new Uint32Array(0),
    dtypes: new Uint8Array(0),
    dims: new Float64Array(0),
    dimEnds: new Uint32Array(0),
  }
  if (typeof (await check(nameless)) === 'number') return
  const verdict = await check(columns)
  if (typeof verdict === 'number') throw new Error('a header was judged in two ways')
  const { reason, message, offset, tensor } = verdict
  throw new SafetensorsError(reason, message, { offset, tensor })
}

/** An index is kept as text, to be judged against its version. */
export function judgeIndex(hold: (bytes: number) => void): Judging {
  const text = createGrowingText(hold)
  return { take: text.add, slotReaders: [], finish: () => ({ indexText: text.all() }) }
}

const EARLY_BYTES = 64 * 1024

/**
 * A worker judges all of a sidecar, and has the last word. Its first bytes are judged here too, as they come: most bad
 * files show by them, and needn't fill a slot first.
 */
export function judgeSidecar(pool: HashPool, form: SidecarForm): Judging {
  const check = createSidecarCheck(pool, form)
  const early = createSidecarJudge(form)
  let received = 0
  return {
    take: (chunk) => {
      if (received < EARLY_BYTES) early.write(chunk.subarray(0, EARLY_BYTES - received))
      received += chunk.length
    },
    slotReaders: [({ bytes }, _position, length) => check.add(bytes.subarray(0, length))],
    finish: async () => {
      await check.finish()
      return {}
    },
    end: check.end,
  }
}
