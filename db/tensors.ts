import type { Database } from 'better-sqlite3'
import {
  LedgerDamaged,
  STATISTICS,
  type Tensor,
  type TensorColumns,
  type TensorQuery,
  type TensorStatistics,
  type VersionFile,
} from './ledger.ts'
import { rowDigest, type TensorFields } from './row-digest.ts'
import { storedShape } from './stored-json.ts'

interface TensorRow extends TensorFields {
  /** Hex; empty when there is none. */
  readonly rowDigest: string
}

const COLUMNS = `name, dtype, shape, begin, "end", lower(hex(sha256)) AS sha256, statistics,
  lower(hex(row_digest)) AS rowDigest`

/** Of a name, which may be as long as a header. */
const TOLD_CHARACTERS = 128

/** @throws LedgerDamaged when the row was altered since it was written. */
function tensorOf(row: TensorRow, path: string, blobSha256: string): Tensor {
  const { name, dtype, begin, end, sha256, statistics } = row
  if (rowDigest(blobSha256, row) !== row.rowDigest)
    throw new LedgerDamaged(
      `the row of tensor ${JSON.stringify(name.slice(0, TOLD_CHARACTERS))} was altered`,
      path,
    )
  return {
    name,
    path,
    dtype,
    begin,
    end,
    sha256,
    shape: storedShape(row.shape, path),
    statistics: statistics === null ? undefined : statisticsOf(statistics),
  }
}

function statisticsOf(packed: Uint8Array): TensorStatistics {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const number = (i: number): number => view.getFloat64(i * 8, true)
  const value = (i: number): number | undefined => {
    const stored = number(i)
    return Number.isNaN(stored) ? undefined : stored
  }
  return {
    nan: number(0),
    positiveInfinity: number(1),
    negativeInfinity: number(2),
    zeros: number(3),
    min: value(4),
    max: value(5),
    mean: value(6),
    absoluteMax: value(7),
    l2Norm: value(8),
  }
}

/** The i-th tensor's share of the column; null where it has no statistics. */
function packedStatistics(column: Float64Array | undefined, i: number): Uint8Array | null {
  const numbers = column?.subarray(i * STATISTICS, (i + 1) * STATISTICS)
  if (numbers === undefined || Number.isNaN(numbers[0])) return null
  const packed = new DataView(new ArrayBuffer(STATISTICS * 8))
  numbers.forEach((number, at) => {
    packed.setFloat64(at * 8, number, true)
  })
  return new Uint8Array(packed.buffer)
}

/** Queries one blob after another: each is a range of the primary key, whatever the size of the version. */
export function readTensors(db: Database) {
  const files = db.prepare<
    { version: number; path: string | null; from: string },
    { path: string; blob: number; sha256: string }
  >(
    `SELECT f.path, f.blob, lower(hex(b.sha256)) AS sha256 FROM files f JOIN blobs b ON b.id = f.blob
     WHERE f.version = @version AND f.path >= @from AND (@path IS NULL OR f.path = @path) ORDER BY f.path`,
  )
  // One bound, so that the search starts right there; max() compares bytes, as the primary key does.
  const page = db.prepare<
    { blob: number; prefix: string; after: string | null; limit: number },
    TensorRow
  >(
    `SELECT ${COLUMNS} FROM tensors
     WHERE blob = @blob AND name >= max(@prefix, coalesce(@after, '')) AND name IS NOT @after
     ORDER BY name LIMIT @limit`,
  )

  return function tensorsOf(query: TensorQuery): readonly Tensor[] {
    const { versionId: version, prefix = '', after, limit } = query
    const found: Tensor[] = []
    for (const file of files.all({ version, path: query.path ?? null, from: after?.path ?? '' })) {
      if (found.length === limit) break
      const afterName = file.path === after?.path ? after.name : null
      const room = limit - found.length
      for (const row of page.all({ blob: file.blob, prefix, after: afterName, limit: room })) {
        // In byte order the names that begin with the prefix lie side by side.
        if (!row.name.startsWith(prefix)) break
        found.push(tensorOf(row, file.path, file.sha256))
      }
    }
    return found
  }
}

/** The tensors of one file that have these names; a name that there isn't is left out. Each is found by the primary key. */
export function readNamedTensors(db: Database) {
  const named = db.prepare<{ blob: number; name: string }, TensorRow>(
    `SELECT ${COLUMNS} FROM tensors WHERE blob = @blob AND name = @name`,
  )
  return ({ blob, path }: VersionFile, names: readonly string[]): readonly Tensor[] =>
    names.flatMap((name) => {
      const row = named.get({ blob: blob.id, name })
      return row === undefined ? [] : [tensorOf(row, path, blob.sha256)]
    })
}

/** A file's tensors in byte order of name, a page at a time. */
export function readTensorPages(db: Database) {
  const page = db.prepare<{ blob: number; after: string; limit: number }, TensorRow>(
    `SELECT ${COLUMNS} FROM tensors
     WHERE blob = @blob AND name > @after ORDER BY name LIMIT @limit`,
  )
  return ({ blob, path }: VersionFile, after: string, limit: number): readonly Tensor[] =>
    page.all({ blob: blob.id, after, limit }).map((row) => tensorOf(row, path, blob.sha256))
}

/** Names in byte order, a page at a time. */
export function readTensorNames(db: Database) {
  const page = db
    .prepare<{ blob: number; after: string; limit: number }, string>(
      'SELECT name FROM tensors WHERE blob = @blob AND name > @after ORDER BY name LIMIT @limit',
    )
    .pluck()
  return (blob: number, after: string, limit: number): readonly string[] =>
    page.all({ blob, after, limit })
}

export function writeTensors(db: Database) {
  const insertRow = db.prepare<TensorFields & { blob: number; rowDigest: string }>(
    `INSERT INTO tensors (blob, name, dtype, shape, begin, "end", sha256, statistics, row_digest)
     VALUES (@blob, @name, @dtype, @shape, @begin, @end, unhex(@sha256), @statistics, unhex(@rowDigest))`,
  )
  const setStatistics = db.prepare<{
    blob: number
    name: string
    statistics: Uint8Array
    rowDigest: string
  }>(
    `UPDATE tensors SET statistics = @statistics, row_digest = unhex(@rowDigest)
     WHERE blob = @blob AND name = @name`,
  )

  return {
    insert(blob: number, sha256: string, columns: TensorColumns): void {
      for (const row of rowsOf(columns))
        insertRow.run({ ...row, blob, rowDigest: rowDigest(sha256, row) })
    },
    /** For rows of the same content, which were inserted without. The digest is of what they should say, whatever they do. */
    addStatistics(blob: number, sha256: string, columns: TensorColumns): void {
      for (const row of rowsOf(columns)) {
        const { name, statistics } = row
        if (statistics !== null)
          setStatistics.run({ blob, name, statistics, rowDigest: rowDigest(sha256, row) })
      }
    },
  }
}

/** Decodes a row at a time: half a million tensors never become half a million objects. */
function* rowsOf(columns: TensorColumns): Generator<TensorFields> {
  checkLengths(columns)
  const { count, dtypes, dtypeNames, dims, dimEnds, begins, ends, digests } = columns
  const nameAt = namesOf(columns)
  const hashes = Buffer.from(digests.buffer, digests.byteOffset, digests.length)
  let dimStart = 0
  for (let i = 0; i < count; i++) {
    const dtype = dtypeNames[dtypes[i] ?? -1]
    const [begin, end, dimEnd] = [begins[i], ends[i], dimEnds[i]]
    if (dtype === undefined || begin === undefined || end === undefined)
      throw new Error('a tensor lacks a column')
    yield {
      name: nameAt(i),
      dtype,
      shape: `[${dims.subarray(dimStart, dimEnd).join(',')}]`,
      begin,
      end,
      sha256: hashes.toString('hex', i * 32, (i + 1) * 32),
      statistics: packedStatistics(columns.statistics, i),
    }
    dimStart = dimEnd ?? dimStart
  }
}

function checkLengths(columns: TensorColumns): void {
  const { count, nameEnds, dtypes, dimEnds, begins, ends, digests, statistics } = columns
  const lengths = [nameEnds, dtypes, dimEnds, begins, ends].map((column) => column.length)
  if (
    lengths.some((length) => length !== count) ||
    digests.length !== count * 32 ||
    (statistics !== undefined && statistics.length !== count * STATISTICS)
  )
    throw new Error('the columns of the tensors differ in length')
}

function namesOf({ names, nameEnds }: TensorColumns): (i: number) => string {
  const bytes = Buffer.from(names.buffer, names.byteOffset, names.length)
  return (i) => bytes.toString('utf8', i === 0 ? 0 : nameEnds[i - 1], nameEnds[i])
}
