import type { Database } from 'better-sqlite3'
import { storedStringMap, storedStrings } from './stored-json.ts'
import type { RefKind, Resolved, Version, VersionState } from './ledger.ts'

interface VersionRow {
  id: number
  owner: string
  name: string
  version: string
  revision: string
  state: VersionState
  withdrawn_reason: string | null
  created_at: string
  created_by: string
  metadata: string
  warnings: string
  size: number
  tensors: number
  parameters: number
  tags: string
}

const COLUMNS = `v.id, c.owner, c.name, v.version, lower(hex(v.revision)) AS revision, v.state,
  v.withdrawn_reason, v.created_at, v.created_by, v.metadata, v.warnings, v.size, v.tensors, v.parameters,
  (SELECT json_group_array(tag ORDER BY tag) FROM tags WHERE version = v.id) AS tags`

const versionOf = (row: VersionRow): Version => ({
  id: row.id,
  owner: row.owner,
  name: row.name,
  version: row.version,
  revision: row.revision,
  state: row.state,
  withdrawnReason: row.withdrawn_reason ?? undefined,
  createdAt: row.created_at,
  createdBy: row.created_by,
  metadata: storedStringMap(row.metadata, "a version's metadata"),
  warnings: storedStrings(row.warnings, "a version's warnings"),
  size: row.size,
  tensors: row.tensors,
  parameters: row.parameters,
  tags: storedStrings(row.tags, "a version's tags"),
})

/** Of a version's row, what a publication of the same name is judged by. */
export interface Existing {
  readonly id: number
  /** Hex. */
  readonly revision: string
  readonly state: VersionState
  readonly withdrawn_reason: string | null
}

interface AvailableVersion {
  readonly id: number
  readonly version: string
  /** Hex. */
  readonly revision: string
}

interface NewVersion {
  readonly checkpoint: number
  readonly version: string
  readonly revision: string
  readonly metadata: string
  readonly warnings: string
  readonly now: string
  readonly createdBy: string
  /** Whether it is on a branch beside main. */
  readonly isSide: 0 | 1
}

const HEX = /^[0-9a-f]{12,64}$/i

export function readVersions(db: Database) {
  const by = (join: string, condition: string) =>
    db.prepare<{ owner: string; name: string; ref: string }, VersionRow>(
      `SELECT ${COLUMNS} FROM checkpoints c ${join}
       WHERE c.owner = @owner AND c.name = @name AND ${condition} LIMIT 2`,
    )
  const versions = 'JOIN versions v ON v.checkpoint = c.id'
  const tags = 'JOIN tags t ON t.checkpoint = c.id JOIN versions v ON v.id = t.version'
  const byRevision = by(versions, 'v.revision = unhex(@ref)')
  const byVersion = by(versions, 'v.version = @ref')
  const byTag = by(tags, 't.tag = @ref')
  // The range of the index in which every revision with this prefix lies; an odd digit is half a byte.
  const byPrefix = by(
    versions,
    `v.revision BETWEEN unhex(substr(@ref || '${'0'.repeat(64)}', 1, 64))
       AND unhex(substr(@ref || '${'f'.repeat(64)}', 1, 64))`,
  )
  const existing = db.prepare<{ checkpoint: number; version: string }, Existing>(
    `SELECT id, lower(hex(revision)) AS revision, state, withdrawn_reason FROM versions
     WHERE checkpoint = @checkpoint AND version = @version`,
  )

  const newestAvailable = db
    .prepare<{ checkpoint: number }, number | null>(
      "SELECT max(id) FROM versions WHERE checkpoint = @checkpoint AND state = 'available' AND is_side = 0",
    )
    .pluck()

  const available = db.prepare<{ checkpoint: number }, AvailableVersion>(
    `SELECT id, version, lower(hex(revision)) AS revision FROM versions
     WHERE checkpoint = @checkpoint AND state = 'available' ORDER BY id`,
  )

  return {
    /** Oldest first. */
    available: (checkpoint: number): readonly AvailableVersion[] => available.all({ checkpoint }),
    /** The row of the last version admitted on main that is available. */
    newestAvailable: (checkpoint: number): number | undefined =>
      newestAvailable.get({ checkpoint }) ?? undefined,
    find: (checkpoint: number, version: string): Existing | undefined =>
      existing.get({ checkpoint, version }),
    resolve(owner: string, name: string, ref: string): Resolved | undefined {
      const found = (statement: typeof byVersion, via: RefKind): Resolved | undefined => {
        const [row, another] = statement.all({ owner, name, ref })
        return row && another === undefined ? { version: versionOf(row), via } : undefined
      }
      const isHex = HEX.test(ref)
      return (
        (isHex && ref.length === 64 ? found(byRevision, 'revision') : undefined) ??
        found(byVersion, 'version') ??
        found(byTag, 'tag') ??
        (isHex && ref.length < 64 ? found(byPrefix, 'prefix') : undefined)
      )
    },
  }
}

export function writeVersions(db: Database) {
  const insert = db
    .prepare<NewVersion, number>(
      `INSERT INTO versions (checkpoint, version, revision, state, metadata, warnings, size, tensors,
         parameters, created_at, created_by, is_side)
       VALUES (@checkpoint, @version, unhex(@revision), 'available', @metadata, @warnings, 0, 0, 0, @now,
         @createdBy, @isSide)
       RETURNING id`,
    )
    .pluck()
  const addFile = db.prepare<{ version: number; path: string; blob: number }>(
    'INSERT INTO files (version, path, blob) VALUES (@version, @path, @blob)',
  )
  const addHeldFile = db.prepare<{ version: number; path: string; sha256: string }>(
    `INSERT INTO files (version, path, blob)
     VALUES (@version, @path, (SELECT id FROM blobs WHERE sha256 = unhex(@sha256)))`,
  )
  const addUp = db.prepare<{ version: number }>(
    `UPDATE versions SET (size, tensors, parameters) =
       (SELECT coalesce(sum(b.size), 0), coalesce(sum(b.tensors), 0), coalesce(sum(b.parameters), 0)
        FROM files f JOIN blobs b ON b.id = f.blob WHERE f.version = @version)
     WHERE id = @version`,
  )
  const addCommit = db.prepare<{
    version: number
    parent: number | null
    summary: string
    description: string
  }>(
    `INSERT INTO commits (version, parent, summary, description)
     VALUES (@version, @parent, @summary, @description)`,
  )
  const withdraw = db.prepare<{ id: number; reason: string }>(
    "UPDATE versions SET state = 'withdrawn', withdrawn_reason = @reason WHERE id = @id",
  )
  return {
    withdraw(id: number, reason: string): void {
      withdraw.run({ id, reason })
    },
    insert(version: NewVersion): number {
      const id = insert.get(version)
      if (id === undefined) throw new Error('a version got no row')
      return id
    },
    /** What was said of it, and the version it was built upon, if any. */
    addCommit(commit: Parameters<typeof addCommit.run>[0]): void {
      addCommit.run(commit)
    },
    addFile(version: number, path: string, blob: number): void {
      addFile.run({ version, path, blob })
    },
    /** A file of bytes that the ledger knows. */
    addHeldFile(version: number, path: string, sha256: string): void {
      addHeldFile.run({ version, path, sha256 })
    },
    /** Size, tensors and parameters of a version, from its files. */
    addUp(version: number): void {
      addUp.run({ version })
    },
  }
}
