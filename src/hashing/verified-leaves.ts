import type { ReadLeaf } from './jobs.ts'
import type { HashPool, Urgency } from './pool.ts'
import { SLOT_BYTES, type Slot, type Slots } from './slots.ts'

/** Where a leaf lies and what it must hash to. */
export interface LeafSource {
  readonly vaultId: string
  readonly index: number
  readonly fd: number
  readonly position: number
  readonly length: number
  readonly expected: Uint8Array
  /** The descriptor stays open between these two. */
  readonly retain: () => void
  readonly release: () => void
}

/** The bytes at rest are not the bytes that the ledger names. */
export class LeafMismatch extends Error {
  override readonly name = 'LeafMismatch'
}

/** Verified bytes, which stay where they are until `unpin`. */
export interface PinnedLeaf {
  readonly bytes: Uint8Array
  unpin: () => void
}

export interface LeafCounts {
  hits: number
  misses: number
}

export interface VerifiedLeaves {
  /** @throws {LeafMismatch} */
  pin: (source: LeafSource) => Promise<PinnedLeaf>
  /** Reads and verifies it if a slot is at hand; never waits, never fails. */
  readAhead: (source: LeafSource) => void
  /** Slots that are pinned now: the server's answer to slow readers depends on it. */
  readonly pinned: () => number
  readonly counts: LeafCounts
}

interface Entry {
  readonly slot: Slot
  readonly key: string
  readonly length: number
  pins: number
}

interface Loading {
  readonly job: ReadLeaf
  readonly done: Promise<Entry>
}

/**
 * The cache of verified leaves. What it hands out has been hashed since it came into our memory and has not left it:
 * a file's stat says nothing about its bytes. One read serves all who wait for the same leaf. Evicts the
 * least recently used leaf that nobody has pinned.
 */
export function createVerifiedLeaves(slots: Slots, pool: HashPool): VerifiedLeaves {
  const entries = new Map<string, Entry>()
  const loading = new Map<string, Loading>()
  // In order of last use: a Map keeps the order in which keys came.
  const idle = new Map<string, Entry>()
  const counts: LeafCounts = { hits: 0, misses: 0 }
  let pinned = 0

  slots.evictWith(() => {
    for (const [key, entry] of idle) {
      idle.delete(key)
      entries.delete(key)
      return entry.slot
    }
    return undefined
  })

  async function load(
    key: string,
    source: LeafSource,
    urgency: Urgency,
    slot: Slot,
    job: ReadLeaf,
  ): Promise<Entry> {
    let verified = false
    try {
      const result = await pool.run(urgency, job)
      if (result !== 'verified') throw new LeafMismatch(`leaf ${source.index}: ${result}`)
      verified = true
    } finally {
      source.release()
      if (!verified) slots.give(slot)
    }
    const entry: Entry = { slot, key, length: source.length, pins: 0 }
    entries.set(key, entry)
    idle.set(key, entry)
    return entry
  }

  function startLoading(
    key: string,
    source: LeafSource,
    urgency: Urgency,
    slot: Slot,
  ): Promise<Entry> {
    const { fd, position, length, expected } = source
    const into = { segment: slot.segment, offset: slot.offset, length }
    const job: ReadLeaf = { kind: 'read_leaf', fd, position, into, expected }
    const done = load(key, source, urgency, slot, job).finally(() => {
      loading.delete(key)
      // After those who wait for this very leaf have pinned it, or two of them could evict each other for ever.
      setImmediate(slots.wake)
    })
    loading.set(key, { job, done })
    return done
  }

  /** It may have been asked for ahead of time, behind all that is urgent: now it is itself. */
  function awaited({ job, done }: Loading): Promise<Entry> {
    pool.hurry(job)
    return done
  }

  async function loadNow(key: string, source: LeafSource): Promise<Entry> {
    source.retain()
    const slot = await slots.take()
    // While this one waited for a slot, somebody else may have read the leaf.
    const other = loading.get(key)
    const known = entries.get(key) ?? (other === undefined ? undefined : awaited(other))
    if (known !== undefined) {
      slots.give(slot)
      source.release()
      return known
    }
    return startLoading(key, source, 'demand', slot)
  }

  function pin(entry: Entry): PinnedLeaf {
    if (entry.pins === 0) pinned += 1
    entry.pins += 1
    idle.delete(entry.key)
    let held = true
    return {
      bytes: entry.slot.bytes.subarray(0, entry.length),
      unpin: () => {
        if (!held) return
        held = false
        entry.pins -= 1
        if (entry.pins > 0) return
        pinned -= 1
        idle.set(entry.key, entry)
        slots.wake()
      },
    }
  }

  return {
    pin: async (source) => {
      if (source.length > SLOT_BYTES) throw new Error('a leaf is at most one slot')
      const key = keyOf(source)
      if (entries.has(key)) counts.hits += 1
      else counts.misses += 1
      // A leaf that was just loaded for us can be evicted before our turn comes: look until we hold it.
      for (;;) {
        const entry = entries.get(key)
        if (entry !== undefined) return pin(entry)
        const other = loading.get(key)
        await (other === undefined ? loadNow(key, source) : awaited(other))
      }
    },
    readAhead: (source) => {
      const key = keyOf(source)
      if (entries.has(key) || loading.has(key)) return
      const slot = slots.tryTake()
      if (slot === undefined) return
      source.retain()
      // Whoever needs the leaf reads it again and meets the failure where it can be told.
      startLoading(key, source, 'ahead', slot).catch(() => undefined)
    },
    pinned: () => pinned,
    counts,
  }
}

const keyOf = ({ vaultId, index }: LeafSource): string => `${vaultId}/${index}`
