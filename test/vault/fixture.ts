import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createSlots, SLOT_BYTES, type Slots } from '../../src/hashing/slots.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { type Admit, type AdmissionLimits, createAdmission } from '../../src/vault/admit.ts'
import { openLocalVault } from '../../src/vault/local.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { bytesOf, startPool } from '../hashing/fixture.ts'

/** A safetensors file of exactly so many bytes: one tensor `w`, and whatever the header needs. */
export function fileOfSize(size: number, seed = 'w'): Buffer {
  for (let padding = 0; ; padding++) {
    const header = writeSafetensors([u8('w', new Uint8Array(size - 200))]).length - (size - 200)
    const bytes = bytesOf(seed, size - header - padding)
    const file = writeSafetensors([u8('w', bytes)])
    if (file.length === size) return Buffer.from(file)
  }
}

export const u8 = (name: string, bytes: Uint8Array) => ({
  name,
  dtype: 'U8',
  shape: [bytes.length],
  bytes,
})

export async function* cut(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    yield await Promise.resolve(bytes.subarray(at, at + chunkBytes))
  }
}

/** Names of all that lies in staging. */
export const stagedIn = (root: string): Promise<string[]> => readdir(join(root, 'staging'))

/** Admission into a vault of its own, over an arena of 16 slots: uploads together get four. */
export async function startAdmission(
  t: Test,
  limits: Partial<AdmissionLimits> = {},
): Promise<{
  readonly admit: Admit
  readonly vault: Vault
  readonly slots: Slots
  readonly root: string
}> {
  const root = t.testdir()
  const vault = await openLocalVault(root)
  const pool = startPool(t, 2)
  const slots = createSlots(16 * SLOT_BYTES, pool.share)
  const admission = createAdmission({
    vault,
    pool,
    slots,
    limits: {
      maxFileBytes: undefined,
      maxIndexBytes: 1024 * 1024,
      maxSidecarBytes: 3 * 1024 * 1024,
      maxTensors: 1_000_000,
      headerMemoryBytes: 4 * 1024 * 1024,
      ...limits,
    },
  })
  const admit: Admit = async (body, request) => {
    const admitted = await admission(body, request)
    t.teardown(admitted.staged.discard)
    return admitted
  }
  return { admit, vault, slots, root }
}
