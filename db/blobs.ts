import type { Database } from 'better-sqlite3'
import { LEAVES_PER_PAGE, type Blob, type BlobKind, type PublishedFile } from './ledger.ts'
import type { HeldBlob, NewBlob, VersionFile } from './ledger.ts'
import { storedStringMap } from './stored-json.ts'
import { ALIVE, covers } from './tokens.ts'

const DIGEST_BYTES = 32
const PAGE_BYTES = LEAVES_PER_PAGE * DIGEST_BYTES

/** Columns of a blob `b`, named as in Blob. */
const BLOB = `b.id, b.vault_id AS vaultId, lower(hex(b.sha256)) AS sha256, b.size,
  b.chunk_size AS chunkSize, b.kind, b.state`

interface FileRow extends Blob {
  path: string
  metadata: string
  tensors: number
  parameters: number
}

const fileOf = ({ path, metadata, tensors, parameters, ...blob }: FileRow): VersionFile => ({
  path,
  blob,
  metadata: storedStringMap(metadata, "a file's metadata", path),
  tensors,
  parameters,
})

interface HeldRow extends FileRow {
  owner: string | null
  name: string | null
  revision: string | null
}

interface Holder {
  readonly token: string
  /** The checkpoint for which it may have uploaded it. */
  readonly owner: string
  readonly name: string
  readonly now: string
}

export function readBlobs(db: Database) {
  const byId = db.prepare<{ id: number }, Blob>(`SELECT ${BLOB} FROM blobs b WHERE b.id = @id`)
  const bySha256 = db.prepare<{ sha256: string }, Blob>(
    `SELECT ${BLOB} FROM blobs b WHERE b.sha256 = unhex(@sha256)`,
  )
  const page = db
    .prepare<{ blob: number; page: number }, Uint8Array>(
      'SELECT digests FROM leaf_pages WHERE blob = @blob AND page = @page',
    )
    .pluck()
  const byVaultId = db
    .prepare<{ vaultId: string }, number>('SELECT id FROM blobs WHERE vault_id = @vaultId')
    .pluck()
  const ofVersion = db.prepare<{ version: number }, FileRow>(
    `SELECT f.path, ${BLOB}, b.metadata, b.tensors, b.parameters
     FROM files f JOIN blobs b ON b.id = f.blob WHERE f.version = @version ORDER BY f.path`,
  )
  const heldBy = db.prepare<Holder & { sha256: string }, HeldRow>(
    `SELECT f.path, ${BLOB}, b.metadata, b.tensors, b.parameters,
       c.owner, c.name, lower(hex(v.revision)) AS revision
     FROM tokens t
     JOIN blobs b ON b.sha256 = unhex(@sha256)
     JOIN files f ON f.blob = b.id
     JOIN versions v ON v.id = f.version
     JOIN checkpoints c ON c.id = v.checkpoint
     WHERE t.id = @token AND t.role IN ('reader', 'writer', 'admin') AND ${ALIVE}
       AND b.state = 'sealed' AND v.state = 'available' AND ${covers('t.scope', 'c.owner', 'c.name')}
     UNION ALL
     SELECT u.path, ${BLOB}, b.metadata, b.tensors, b.parameters, NULL, NULL, NULL
     FROM tokens t
     JOIN blobs b ON b.sha256 = unhex(@sha256)
     JOIN uploads u ON u.blob = b.id AND u.token = t.id AND u.owner = @owner AND u.name = @name
     WHERE t.id = @token AND t.role IN ('writer', 'admin') AND ${ALIVE}
       AND b.state = 'sealed' AND u.expires_at > @now AND ${covers('t.scope', 'u.owner', 'u.name')}
     LIMIT 1`,
  )
  const named = db
    .prepare<{ blob: number }, 0 | 1>(
      `SELECT EXISTS (SELECT 1 FROM files WHERE blob = @blob)
         OR EXISTS (SELECT 1 FROM uploads WHERE blob = @blob)`,
    )
    .pluck()
  return {
    get: (id: number): Blob | undefined => byId.get({ id }),
    ofContent: (sha256: string): Blob | undefined => bySha256.get({ sha256 }),
    leafPage: (blob: number, number: number): Uint8Array | undefined =>
      page.get({ blob, page: number }),
    hasVaultId: (vaultId: string): boolean => byVaultId.get({ vaultId }) !== undefined,
    filesOf: (version: number): readonly VersionFile[] => ofVersion.all({ version }).map(fileOf),
    /** Whether a version or an upload names it. */
    isNamed: (blob: number): boolean => named.get({ blob }) === 1,
    heldBy(sha256: string, holder: Holder): HeldBlob | undefined {
      const row = heldBy.get({ ...holder, sha256 })
      if (row === undefined) return undefined
      const { owner, name, revision, ...file } = row
      const isVersions = owner !== null && name !== null && revision !== null
      return { ...fileOf(file), version: isVersions ? { owner, name, revision } : undefined }
    },
  }
}

/** A content's row before and after the newest proven copy took its place. */
export interface Upserted {
  readonly id: number
  readonly isNew: boolean
  /** The vault id of the copy that goes: the one that was replaced, or the new one where the other stays. */
  readonly retired: string | undefined
  /** The copy that was replaced had been found damaged. */
  readonly repaired: boolean
  /** Its tensors were admitted before there were statistics, and wait for them. */
  readonly lacksStatistics: boolean
}

export function writeBlobs(db: Database) {
  const bySha256 = db.prepare<
    { sha256: string },
    { id: number; vault_id: string; state: Blob['state']; has_statistics: 0 | 1 }
  >('SELECT id, vault_id, state, has_statistics FROM blobs WHERE sha256 = unhex(@sha256)')
  const insert = db
    .prepare<
      {
        sha256: string
        size: number
        kind: BlobKind
        chunkSize: number
        vaultId: string
        metadata: string
        tensors: number
        parameters: number
        now: string
      },
      number
    >(
      `INSERT INTO blobs
         (sha256, size, kind, chunk_size, vault_id, state, metadata, tensors, parameters, has_statistics, sealed_at)
       VALUES
         (unhex(@sha256), @size, @kind, @chunkSize, @vaultId, 'sealed', @metadata, @tensors, @parameters, 1, @now)
       RETURNING id`,
    )
    .pluck()
  const replace = db.prepare<{ id: number; vaultId: string; chunkSize: number; now: string }>(
    `UPDATE blobs SET vault_id = @vaultId, state = 'sealed', sealed_at = @now, chunk_size = @chunkSize,
       has_statistics = 1
     WHERE id = @id`,
  )
  const markMeasured = db.prepare<{ id: number }>(
    'UPDATE blobs SET has_statistics = 1 WHERE id = @id',
  )
  const putPage = db.prepare<{ blob: number; page: number; digests: Uint8Array }>(
    `INSERT INTO leaf_pages (blob, page, digests) VALUES (@blob, @page, @digests)
     ON CONFLICT (blob, page) DO UPDATE SET digests = @digests WHERE digests <> @digests`,
  )
  const dropPages = db.prepare<{ blob: number; from: number }>(
    'DELETE FROM leaf_pages WHERE blob = @blob AND page >= @from',
  )
  const quarantine = db.prepare<{ vaultId: string }>(
    "UPDATE blobs SET state = 'quarantined' WHERE vault_id = @vaultId AND state = 'sealed'",
  )

  const drops = ['leaf_pages', 'tensors'].map((table) =>
    db.prepare<{ blob: number }>(`DELETE FROM ${table} WHERE blob = @blob`),
  )
  const dropRow = db
    .prepare<{ blob: number }, string>('DELETE FROM blobs WHERE id = @blob RETURNING vault_id')
    .pluck()

  function putLeaves(blob: number, leaves: Uint8Array): void {
    const pages = Math.ceil(leaves.length / PAGE_BYTES)
    for (let page = 0; page < pages; page++) {
      const digests = leaves.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
      putPage.run({ blob, page, digests })
    }
    dropPages.run({ blob, from: pages })
  }

  function keep({ sha256 }: PublishedFile, { vaultId, standing }: NewBlob): Upserted | undefined {
    const known = bySha256.get({ sha256 })
    if (known === undefined || known.state !== 'sealed' || known.vault_id !== standing)
      return undefined
    markMeasured.run({ id: known.id })
    return {
      id: known.id,
      isNew: false,
      retired: vaultId,
      repaired: false,
      lacksStatistics: known.has_statistics === 0,
    }
  }

  function putRow({ sha256, size }: PublishedFile, blob: NewBlob, now: string): Upserted {
    const { vaultId, kind, chunkSize, parameters } = blob
    const known = bySha256.get({ sha256 })
    if (known !== undefined) {
      replace.run({ id: known.id, vaultId, chunkSize, now })
      const retired = known.vault_id === vaultId ? undefined : known.vault_id
      return {
        id: known.id,
        isNew: false,
        retired,
        repaired: known.state === 'quarantined',
        lacksStatistics: known.has_statistics === 0,
      }
    }
    const tensors = blob.tensors?.count ?? 0
    const metadata = JSON.stringify(blob.metadata)
    const row = { sha256, size, kind, chunkSize, vaultId, metadata, tensors, parameters, now }
    const id = insert.get(row)
    if (id === undefined) throw new Error('a blob got no row')
    return { id, isNew: true, retired: undefined, repaired: false, lacksStatistics: false }
  }

  return {
    /** Makes these bytes the copy that stands for their content, unless one was proven again just now and still stands. */
    put(file: PublishedFile, blob: NewBlob, now: string): Upserted {
      if (blob.leaves.length !== Math.ceil(file.size / blob.chunkSize) * DIGEST_BYTES)
        throw new Error(`the leaves of ${file.path} do not cover it`)
      const kept = keep(file, blob)
      if (kept !== undefined) return kept
      const upserted = putRow(file, blob, now)
      putLeaves(upserted.id, blob.leaves)
      return upserted
    },
    /** Of a content that nothing names; returns the vault id of its copy. */
    drop(blob: number): string | undefined {
      for (const statement of drops) statement.run({ blob })
      return dropRow.get({ blob })
    },
    /** False when that copy was already quarantined or replaced. */
    quarantine: (vaultId: string): boolean => quarantine.run({ vaultId }).changes === 1,
  }
}
