/** Bytes of one slot, and of one leaf: the first byte of a range is out once this much is read and hashed. */
export const SLOT_BYTES = 1024 * 1024

const SEGMENT_SLOTS = 16

/** One megabyte of memory that the main thread and the hash workers share. */
export interface Slot {
  /** Which shared buffer, and where in it: how a worker finds the same bytes. */
  readonly segment: number
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Where idle but useful slots come from when no free one is left: the cache of verified leaves. */
export type Evict = () => Slot | undefined

/**
 * The one arena of the process: upload buffers, leaves on their way out and the cache of verified leaves are
 * all slots of it, so that its size bounds them together. Segments are made when first needed.
 */
export interface Slots {
  readonly total: number
  /** Waits, first come first served, until a slot is free or can be evicted. */
  take: () => Promise<Slot>
  /** A slot if one is at hand, without waiting. */
  tryTake: () => Slot | undefined
  give: (slot: Slot) => void
  /** Something became evictable: whoever waits may look again. */
  wake: () => void
  evictWith: (evict: Evict) => void
}

export function createSlots(
  cacheBytes: number,
  share: (segment: number, buffer: SharedArrayBuffer) => void,
): Slots {
  const total = Math.floor(cacheBytes / SLOT_BYTES)
  const free: Slot[] = []
  const waiting: ((slot: Slot) => void)[] = []
  let made = 0
  let segments = 0
  let evict: Evict = () => undefined

  function grow(): void {
    const count = Math.min(SEGMENT_SLOTS, total - made)
    const buffer = new SharedArrayBuffer(count * SLOT_BYTES)
    share(segments, buffer)
    for (let i = count - 1; i >= 0; i--) {
      const offset = i * SLOT_BYTES
      free.push({ segment: segments, offset, bytes: new Uint8Array(buffer, offset, SLOT_BYTES) })
    }
    made += count
    segments += 1
  }

  function tryTake(): Slot | undefined {
    if (free.length === 0 && made < total) grow()
    return free.pop() ?? evict()
  }

  function wake(): void {
    while (waiting.length > 0) {
      const slot = tryTake()
      if (slot === undefined) return
      waiting.shift()?.(slot)
    }
  }

  return {
    total,
    take: () => {
      const slot = waiting.length === 0 ? tryTake() : undefined
      if (slot !== undefined) return Promise.resolve(slot)
      return new Promise((resolve) => waiting.push(resolve))
    },
    tryTake: () => (waiting.length === 0 ? tryTake() : undefined),
    give: (slot) => {
      const next = waiting.shift()
      if (next === undefined) free.push(slot)
      else next(slot)
    },
    wake,
    evictWith: (next) => {
      evict = next
    },
  }
}
