// Runs where no file may grow beyond 1.5 MiB: uploads that would, fail, and one that fits goes through.

import { createHashPool } from '../../src/hashing/pool.ts'
import { createSlots, SLOT_BYTES } from '../../src/hashing/slots.ts'
import { createAdmission } from '../../src/vault/admit.ts'
import { openLocalVault } from '../../src/vault/local.ts'
import { countFreeSlots } from '../hashing/fixture.ts'
import { cut, fileOfSize, stagedIn } from './fixture.ts'

const [root = ''] = process.argv.slice(2)
const vault = await openLocalVault(root)
const pool = createHashPool(2, (error) => {
  throw error
})
const slots = createSlots(16 * SLOT_BYTES, pool.share)
const limits = {
  maxFileBytes: undefined,
  maxIndexBytes: 1000,
  maxSidecarBytes: 1,
  maxTensors: 1000,
  headerMemoryBytes: 1000,
}
const admit = createAdmission({ vault, pool, slots, limits })
const upload = (size: number) =>
  admit(cut(fileOfSize(size), 65_536), {
    path: 'm',
    kind: 'safetensors',
    announcedBytes: undefined,
  })
const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : error
const large = await Promise.all([1, 2, 3].map(() => upload(12 * SLOT_BYTES).catch(codeOf)))
const small = await upload(SLOT_BYTES)
await pool.close()
const report = {
  large,
  small: small.sizeBytes,
  staged: (await stagedIn(root)).length,
  freeSlots: countFreeSlots(slots),
}
process.stdout.write(JSON.stringify(report))
