import { setImmediate } from 'node:timers/promises'
import { entryHash, FIRST_PREV_HASH, isHeadMac, type AuditRow } from './audit-chain.ts'
import type { readAudit } from './audit.ts'
import type { AuditHead, AuditVerdict } from './ledger.ts'

/** Entries checked before the event loop gets its turn: a few milliseconds. */
const ENTRIES_PER_TURN = 1000

type Break = NonNullable<AuditVerdict['broken']>

function breakAt(row: AuditRow, seq: number, prevHash: string): Break | undefined {
  if (row.seq !== seq) return { seq, why: `entry ${seq} is missing: ${row.seq} comes next` }
  if (row.prev_hash !== prevHash)
    return { seq, why: 'it does not hold the hash of the entry before it' }
  if (row.hash !== entryHash(row)) return { seq, why: 'its hash is not that of its content' }
  return undefined
}

/** The head against what was found up to it: `seq` entries, of which the last has `hash`. */
function breakAtHead(
  head: AuditHead & { readonly last: number },
  seq: number,
  hash: string,
  key: Uint8Array | undefined,
): Break | undefined {
  if (seq < head.seq)
    return { seq: seq + 1, why: `entries ${seq + 1} to ${head.seq} are missing at the end` }
  if (head.last > head.seq)
    return { seq: head.seq + 1, why: `the head is at ${head.seq} and an entry lies beyond it` }
  if (hash !== head.hash) return { seq: head.seq, why: "the head does not hold this entry's hash" }
  if (key === undefined) return undefined
  if (head.mac === undefined) return { seq: head.seq, why: 'the head is not authenticated' }
  return isHeadMac(key, head.seq, head.hash, head.mac)
    ? undefined
    : { seq: head.seq, why: 'the head was not authenticated with this key' }
}

/**
 * Recomputes the chain from the first entry to the head as it stands now; entries that arrive meanwhile are
 * left to the next call. `entries` counts those that hold.
 */
export async function verifyAudit(
  audit: ReturnType<typeof readAudit>,
  key: Uint8Array | undefined,
): Promise<AuditVerdict> {
  const found = audit.head()
  if (found === undefined) {
    const head = { seq: 0, hash: FIRST_PREV_HASH, mac: undefined }
    return { valid: false, entries: 0, head, broken: { seq: 0, why: 'the head is missing' } }
  }
  const head: AuditHead = { seq: found.seq, hash: found.hash, mac: found.mac }
  let seq = 0
  let hash = FIRST_PREV_HASH
  // Below every number that an entry should have, so that one smuggled in before the first shows.
  let after = Number.MIN_SAFE_INTEGER
  while (seq < head.seq) {
    const rows = audit.rows(after, Math.min(ENTRIES_PER_TURN, head.seq - seq))
    for (const row of rows) {
      const broken = breakAt(row, seq + 1, hash)
      if (broken !== undefined) return { valid: false, entries: seq, head, broken }
      seq = after = row.seq
      hash = row.hash
    }
    if (rows.length === 0) break
    await setImmediate()
  }
  const broken = breakAtHead(found, seq, hash, key)
  return { valid: broken === undefined, entries: seq, head, broken }
}
