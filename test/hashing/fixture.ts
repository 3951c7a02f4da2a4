import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createHashPool, type HashPool } from '../../src/hashing/pool.ts'
import { createSlots, SLOT_BYTES, type Slots } from '../../src/hashing/slots.ts'
import {
  createVerifiedLeaves,
  type LeafSource,
  type VerifiedLeaves,
} from '../../src/hashing/verified-leaves.ts'

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** Bytes that look random and are the same in every run. */
export function bytesOf(seed: string, length: number): Buffer {
  const key = sha256(Buffer.from(seed))
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** Real workers, which end with the test; one that dies fails it. */
export function startPool(t: Test, count: number): HashPool {
  const pool = createHashPool(count, (error) => t.fail(error.message))
  t.teardown(pool.close)
  return pool
}

/** An arena of so many slots, and the cache in it. */
export function startLeaves(
  t: Test,
  slotCount: number,
  workers = 2,
): { readonly pool: HashPool; readonly slots: Slots; readonly leaves: VerifiedLeaves } {
  const pool = startPool(t, workers)
  const slots = createSlots(slotCount * SLOT_BYTES, pool.share)
  return { pool, slots, leaves: createVerifiedLeaves(slots, pool) }
}

interface LeafFile {
  readonly path: string
  readonly bytes: Buffer
  readonly leaf: (index: number) => Buffer
  readonly source: (index: number, change?: Partial<LeafSource>) => LeafSource
  /** How often its descriptor is retained now. */
  readonly retained: () => number
}

/** A file of leaves that are shorter than a slot, so that a test of many stays small. */
export function leafFile(t: Test, count: number, leafBytes = 4096): LeafFile {
  const path = join(t.testdir(), 'blob')
  const bytes = bytesOf(t.name, count * leafBytes)
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  let holders = 0
  const leaf = (index: number): Buffer => bytes.subarray(index * leafBytes, (index + 1) * leafBytes)
  return {
    path,
    bytes,
    leaf,
    retained: () => holders,
    source: (index, change = {}) => ({
      vaultId: 'blob',
      index,
      fd,
      position: index * leafBytes,
      length: leafBytes,
      expected: sha256(leaf(index)),
      retain: () => {
        holders += 1
      },
      release: () => {
        holders -= 1
      },
      ...change,
    }),
  }
}

/** Takes every slot of an arena, which proves that none is held, and gives them back. */
export function countFreeSlots(slots: Slots): number {
  const taken = []
  for (let slot = slots.tryTake(); slot !== undefined; slot = slots.tryTake()) taken.push(slot)
  for (const slot of taken) slots.give(slot)
  return taken.length
}
