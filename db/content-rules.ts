import type { Database } from 'better-sqlite3'
import type { NotFinite, TensorForm, TensorsDiffer } from './changes.ts'
import { storedShape } from './stored-json.ts'

/** Dtypes without a NaN and without an infinity; of any other a tensor has statistics, or nothing is known of it. */
const ALWAYS_FINITE = `'BOOL', 'U8', 'I8', 'U16', 'I16', 'U32', 'I32', 'U64', 'I64', 'F4', 'F6_E2M3', 'F6_E3M2'`

/** The statistics begin with three counts, of NaN, +Inf and -Inf; zero as a float64 is eight zero bytes. */
const IS_FINITE = 'substr(t.statistics, 1, 24) = zeroblob(24)'

interface FoundTensor {
  readonly path: string
  readonly tensor: string
  readonly dtype: string
  readonly isMeasured: 0 | 1
}

interface Excess {
  readonly name: string
  readonly dtype: string
  readonly shape: string
  /** How many more of them the version has than the other one. */
  readonly excess: number
}

/**
 * What a policy asks of a version's tensors, answered from their rows. Memory stays bounded however many there are: rows
 * come one by one, and what SQLite sorts it spills.
 */
export function contentRules(db: Database) {
  const notFinite = db.prepare<{ version: number }, FoundTensor>(
    `SELECT f.path, t.name AS tensor, t.dtype, t.statistics IS NOT NULL AS isMeasured
     FROM files f JOIN tensors t ON t.blob = f.blob
     WHERE f.version = @version AND CASE WHEN t.statistics IS NULL THEN t.dtype NOT IN (${ALWAYS_FINITE})
       ELSE NOT (${IS_FINITE}) END
     ORDER BY f.path, t.name LIMIT 1`,
  )
  const tensorsOf = (version: string, count: number): string =>
    `SELECT t.name, t.dtype, t.shape, ${count} AS count FROM files f JOIN tensors t ON t.blob = f.blob
     WHERE f.version = ${version}`
  const excesses = db.prepare<{ version: number; other: number }, Excess>(
    `SELECT name, dtype, shape, sum(count) AS excess
     FROM (${tensorsOf('@version', 1)} UNION ALL ${tensorsOf('@other', -1)})
     GROUP BY name, dtype, shape HAVING excess <> 0 ORDER BY name, dtype, shape`,
  )

  return {
    /** The first tensor, in byte order of path and name, that isn't known to be finite. */
    firstNotFinite(version: number): NotFinite | undefined {
      const row = notFinite.get({ version })
      return row && { ...row, outcome: 'not_finite', isMeasured: row.isMeasured === 1 }
    },

    /** The first name, in byte order, of which one version has other tensors than another, in whatever files. */
    firstDifference(version: number, other: number): TensorsDiffer | undefined {
      let first: Excess | undefined
      let actual: TensorForm | undefined
      let expected: TensorForm | undefined
      for (const row of excesses.iterate({ version, other })) {
        first ??= row
        if (row.name !== first.name) break
        if (row.excess > 0) actual ??= formOf(row)
        else expected ??= formOf(row)
      }
      return first && { outcome: 'tensors_differ', tensor: first.name, expected, actual }
    },
  }
}

const formOf = ({ dtype, shape }: Excess): TensorForm => ({
  dtype,
  shape: storedShape(shape),
})
