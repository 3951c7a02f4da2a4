import { randomUUID } from 'node:crypto'
import { openSync, writeSync, closeSync, chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Blob, Ledger } from '../../db/ledger.ts'
import { openLocalVault } from '../../src/vault/local.ts'
import { createOpenBlobs } from '../../src/vault/open-blobs.ts'
import { createVerifiedReader } from '../../src/vault/read-verified.ts'
import { addToken, openAt, publication, tamper } from '../db/fixture.ts'
import { bytesOf, countFreeSlots, sha256, startLeaves } from '../hashing/fixture.ts'

const CONTEXT = { path: 'm', subject: 'acme/bert@1', revision: 'r' }
const CHUNK = 1000

/** A blob of 1000-byte leaves in a real vault with its row in a real ledger, and a reader of it. */
async function startReader(t: Test, size: number, slotCount = 16) {
  const root = t.testdir({ vault: {}, ledger: {} })
  const vault = await openLocalVault(join(root, 'vault'))
  const ledger = await openAt(t, join(root, 'ledger'))
  await addToken(ledger)
  const bytes = bytesOf(t.name, size)
  const { pool, slots, leaves } = startLeaves(t, slotCount)
  const corrupt: number[] = []
  const read = createVerifiedReader({
    ledger,
    blobs: createOpenBlobs(vault),
    leaves,
    slotCount: slots.total,
    onCorrupt: async (blob, chunk) => {
      corrupt.push(chunk)
      await ledger.quarantine(blob.vaultId, { action: 'integrity_failure', outcome: 'x' })
    },
  })
  /** Stores another proven copy of the bytes: the first publishes, each further one repairs. */
  async function store(): Promise<Blob> {
    const staged = await vault.stage()
    await staged.write(0, bytes)
    await staged.seal()
    const digests = []
    for (let at = 0; at < size; at += CHUNK) digests.push(sha256(bytes.subarray(at, at + CHUNK)))
    const blob = {
      vaultId: staged.id,
      kind: 'index' as const,
      chunkSize: CHUNK,
      leaves: Uint8Array.from(Buffer.concat(digests)),
      metadata: {},
      parameters: 0,
      tensors: undefined,
    }
    const files = [{ path: 'm', sha256: sha256(bytes).toString('hex'), size, blob }]
    await ledger.publish(publication(randomUUID(), { files }))
    return blobOf(ledger)
  }
  const pathOf = (blob: Blob): string =>
    join(root, 'vault/blobs', blob.vaultId.slice(0, 2), blob.vaultId)
  function damage(blob: Blob, at: number): void {
    chmodSync(pathOf(blob), 0o644)
    const fd = openSync(pathOf(blob), 'r+')
    writeSync(fd, Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, at)
    closeSync(fd)
  }
  return { root, vault, ledger, bytes, pool, slots, leaves, read, corrupt, store, damage, pathOf }
}

async function blobOf(ledger: Ledger): Promise<Blob> {
  const blob = await ledger.blob(1)
  if (blob === undefined) throw new Error('there is no blob')
  return blob
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies = []
  for await (const piece of pieces) copies.push(Buffer.from(piece))
  return Buffer.concat(copies)
}

t.test('every range around the borders of leaves gives exactly its bytes', async (t) => {
  const { read, store, bytes, slots, pool } = await startReader(t, 2500)
  const blob = await store()
  const marks = [0, 1, 999, 1000, 1001, 1999, 2000, 2001, 2499, 2500]
  for (const begin of marks) {
    for (const end of marks.filter((mark) => mark >= begin)) {
      const got = await collect(read(blob, { begin, end }, CONTEXT))
      t.ok(got.equals(bytes.subarray(begin, end)), `${begin} to ${end}`)
    }
  }
  await pool.close()
  t.equal(countFreeSlots(slots), 16)
})

t.test('a reader who stops in the middle holds nothing', async (t) => {
  const { read, store, slots, leaves, pool } = await startReader(t, 10_000)
  const blob = await store()
  for await (const piece of read(blob, { begin: 0, end: 10_000 }, CONTEXT)) {
    t.equal(piece.length, CHUNK)
    t.equal(leaves.pinned(), 1)
    break
  }
  t.equal(leaves.pinned(), 0)
  await collect(read(blob, { begin: 0, end: 10_000 }, CONTEXT))
  await pool.close()
  t.equal(countFreeSlots(slots), 16)
})

t.test(
  'when half of the slots are pinned, further readers get copies and pin nothing while they dawdle',
  async (t) => {
    const { read, store, bytes, leaves } = await startReader(t, 20_000, 4)
    const blob = await store()
    const whole = { begin: 0, end: 20_000 }
    const dawdlers = Array.from({ length: 10 }, (_, i) =>
      read(blob, { begin: i * CHUNK, end: 20_000 }, CONTEXT),
    )
    for (const dawdler of dawdlers) await dawdler.next()
    t.equal(leaves.pinned(), 2)
    t.ok((await collect(read(blob, whole, CONTEXT))).equals(bytes), 'and others read on')
    const rests = await Promise.all(dawdlers.map(collect))
    rests.forEach((rest, i) => t.ok(rest.equals(bytes.subarray((i + 1) * CHUNK))))
    t.equal(leaves.pinned(), 0)
  },
)

t.test(
  'a damaged leaf is never sent: what comes before it is, and the blob is reported once',
  async (t) => {
    const { read, store, damage, corrupt, bytes, slots, pool } = await startReader(t, 5000)
    const blob = await store()
    damage(blob, 3500)
    const got: Buffer[] = []
    const reading = (async () => {
      for await (const piece of read(blob, { begin: 500, end: 5000 }, CONTEXT))
        got.push(Buffer.from(piece))
    })()
    await t.rejects(reading, { code: 'INTEGRITY_FAILURE', facts: { path: 'm', chunk: 3 } })
    t.ok(Buffer.concat(got).equals(bytes.subarray(500, 3000)))
    t.same(corrupt, [3])
    const now = { ...blob, state: 'quarantined' as const }
    await t.rejects(collect(read(now, { begin: 0, end: 1 }, CONTEXT)), {
      code: 'INTEGRITY_FAILURE',
    })
    t.same(corrupt, [3], 'a quarantined blob is not reported again')
    // A leaf that was read ahead and that nobody came for may still be on its way.
    await pool.close()
    t.equal(countFreeSlots(slots), 16)
  },
)

t.test('a blob that is missing, shorter or longer than it was is damaged', async (t) => {
  const { read, store, corrupt, pathOf, vault } = await startReader(t, 3000)
  const range = { begin: 0, end: 3000 }
  const blob = await store()
  chmodSync(pathOf(blob), 0o644)
  const fd = openSync(pathOf(blob), 'a')
  writeSync(fd, 'more')
  closeSync(fd)
  await t.rejects(collect(read(blob, range, CONTEXT)), { code: 'INTEGRITY_FAILURE' })
  const second = await store()
  rmSync(pathOf(second))
  await t.rejects(collect(read(second, range, CONTEXT)), { code: 'INTEGRITY_FAILURE' })
  t.equal(await vault.open(second.vaultId), undefined)
  t.equal(corrupt.length, 2)
})

t.test(
  'a reader goes on with the copy that a repair put in the place of the one that failed',
  async (t) => {
    const { read, store, damage, corrupt, bytes } = await startReader(t, 8000)
    const blob = await store()
    damage(blob, 7999)
    const reading = read(blob, { begin: 100, end: 8000 }, CONTEXT)
    const first = await reading.next()
    const start = Buffer.from(first.value ?? Buffer.alloc(0))
    const repaired = await store()
    t.not(repaired.vaultId, blob.vaultId)
    const rest = await collect(reading)
    t.ok(Buffer.concat([start, rest]).equals(bytes.subarray(100)))
    t.same(corrupt, [], 'the new copy is sound, so nothing is reported')
  },
)

t.test('a leaf that the ledger has no digest for is not served', async (t) => {
  const { root, read, store, corrupt } = await startReader(t, 3000)
  const blob = await store()
  tamper(join(root, 'ledger'), 'UPDATE leaf_pages SET digests = substr(digests, 1, 64)')
  t.equal((await collect(read(blob, { begin: 0, end: 2000 }, CONTEXT))).length, 2000)
  await t.rejects(collect(read(blob, { begin: 0, end: 2001 }, CONTEXT)), {
    code: 'INTEGRITY_FAILURE',
  })
  t.same(corrupt, [2])
})

t.test('a page that the ledger lost entirely is no digest either', async (t) => {
  const { root, read, store } = await startReader(t, 3000)
  const blob = await store()
  tamper(join(root, 'ledger'), 'DELETE FROM leaf_pages')
  await t.rejects(collect(read(blob, { begin: 0, end: 1 }, CONTEXT)), { code: 'INTEGRITY_FAILURE' })
})
