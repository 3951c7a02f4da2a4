import Database from 'better-sqlite3'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Ledger, PublishedFile, Tensor } from '../../db/ledger.ts'
import { addToken, columnsOf, file, openAt, publication, sha256 } from './fixture.ts'

const FIRST_SCHEMA = join(import.meta.dirname, '../../migrations/0001-registry.sql')
const NONE = Array<number>(9).fill(NaN)
/** Of a tensor whose elements are all NaN: there are counts, and nothing else. */
const ALL_NAN = [6, 0, 0, 0, NaN, NaN, NaN, NaN, NaN]

const TENSORS = [{ name: 'a' }, { name: 'bias' }, { name: 'count' }]

/** A file of three tensors: another copy of the same bytes with each call. */
function measured(...rows: readonly (readonly number[])[]): ReturnType<typeof file> {
  const made = file('content', { tensors: TENSORS, chunkSize: 4, size: 10 })
  const statistics = rows.length === 0 ? undefined : Float64Array.from(rows.flat())
  return { ...made, blob: { ...made.blob, tensors: { ...columnsOf(TENSORS), statistics } } }
}

async function tensorsOf(ledger: Ledger, version: string): Promise<readonly Tensor[]> {
  const versionId = (await ledger.resolve('acme', 'bert', version))?.version.id ?? 0
  return ledger.tensorsOf({ versionId, limit: 100 })
}

const statisticsOf = async (ledger: Ledger, version: string) =>
  (await tensorsOf(ledger, version)).map(({ name, statistics }) => [name, statistics])

t.test(
  'the nine numbers of a floating tensor come back as they went in, and others have none',
  async (t) => {
    const ledger = await openAt(t, t.testdir())
    await addToken(ledger)
    const row = [1, 2 ** 33, 3, 4, -0.1, 1 / 3, 5e-324, 1.7e308, 2]
    await ledger.publish(publication('1', { files: [measured(row, ALL_NAN, NONE)] }))
    const some = {
      ...{ nan: 1, positiveInfinity: 2 ** 33, negativeInfinity: 3, zeros: 4 },
      ...{ min: -0.1, max: 1 / 3, mean: 5e-324, absoluteMax: 1.7e308, l2Norm: 2 },
    }
    const none = {
      ...{ nan: 6, positiveInfinity: 0, negativeInfinity: 0, zeros: 0 },
      ...{ min: undefined, max: undefined, mean: undefined, absoluteMax: undefined },
      l2Norm: undefined,
    }
    t.strictSame(await statisticsOf(ledger, '1'), [
      ['a', some],
      ['bias', none],
      ['count', undefined],
    ])
  },
)

/** A ledger of the first schema that holds one version of that file. */
function writeFirstSchema(folder: string, published: PublishedFile): void {
  const { revision } = publication('1', { files: [published] })
  const db = new Database(join(folder, 'strongroom.db'))
  db.exec(readFileSync(FIRST_SCHEMA, 'utf8'))
  db.exec('PRAGMA user_version = 1; PRAGMA application_id = 0x5374726d')
  const time = '2026-01-01T00:00:00.000Z'
  db.exec(`
    INSERT INTO tokens VALUES ('t', x'${sha256('t').toString('hex')}', 'name', 'writer', '*', '${time}', NULL, NULL, NULL);
    INSERT INTO checkpoints VALUES (7, 'acme', 'bert', '${time}');
    INSERT INTO blobs VALUES (5, x'${published.sha256}', 10, 'safetensors', 4, 'an-older-copy', 'sealed', '{}', 3, 18, '${time}');
    INSERT INTO leaf_pages VALUES (5, 0, zeroblob(96));
    INSERT INTO versions VALUES
      (9, 7, '1', x'${revision}', 'available', NULL, '{}', '[]', 10, 3, 18, '${time}', 'name');
    INSERT INTO files VALUES (9, 'model.safetensors', 5);
    INSERT INTO tags VALUES (7, 'latest', 9, '${time}');`)
  const tensor = db.prepare('INSERT INTO tensors VALUES (5, ?, ?, ?, ?, ?, ?)')
  for (const [i, { name }] of TENSORS.entries())
    tensor.run(name, 'F32', '[2,3]', i * 24, i * 24 + 24, sha256(name))
  db.close()
}

t.test(
  'a ledger from before there were statistics keeps all that it had, and says that it has none',
  async (t) => {
    const folder = t.testdir()
    writeFirstSchema(folder, measured())
    const ledger = await openAt(t, folder)
    t.match(await ledger.resolve('acme', 'bert', 'latest'), { version: { id: 9, version: '1' } })
    t.match(await ledger.filesOf(9), [
      { path: 'model.safetensors', tensors: 3, parameters: 18, blob: { id: 5, chunkSize: 4 } },
    ])
    t.equal((await ledger.leafPage(5, 0))?.length, 96)
    t.match(await tensorsOf(ledger, '1'), [
      { name: 'a', dtype: 'F32', shape: [2, 3], begin: 0, end: 24, statistics: undefined },
      { name: 'bias', begin: 24, end: 48, statistics: undefined },
      { name: 'count', begin: 48, end: 72, statistics: undefined },
    ])
    t.ok(await ledger.hasVaultId('an-older-copy'))
  },
)

t.test(
  'the same bytes, published again, bring the statistics that their older rows lack',
  async (t) => {
    const rows = [[0, 0, 0, 1, 1, 1, 1, 1, 1], ALL_NAN, NONE]
    for (const version of ['1', 'another']) {
      const folder = t.testdir({ [version]: {} })
      writeFirstSchema(join(folder, version), measured())
      const ledger = await openAt(t, join(folder, version))
      const again = publication(version, { files: [measured(...rows)] })
      t.match(await ledger.publish(again), {
        outcome: version === '1' ? 'same' : 'created',
        retired: ['an-older-copy'],
      })
      t.match(await statisticsOf(ledger, '1'), [
        ['a', { zeros: 1, l2Norm: 1 }],
        ['bias', { nan: 6, l2Norm: undefined }],
        ['count', undefined],
      ])
      t.equal((await tensorsOf(ledger, '1')).length, 3)
    }
  },
)

t.test('rows that have their statistics are not written again', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const first = [[0, 0, 0, 1, 1, 1, 1, 1, 1], NONE, NONE]
  const other = [[0, 0, 0, 2, 2, 2, 2, 2, 2], NONE, NONE]
  await ledger.publish(publication('1', { files: [measured(...first)] }))
  await ledger.publish(publication('2', { files: [measured(...other)] }))
  t.match(await statisticsOf(ledger, '2'), [['a', { zeros: 1 }], ['bias'], ['count']])
})

t.test(
  'statistics of fewer tensors than the file has are refused, and nothing is kept',
  async (t) => {
    const ledger = await openAt(t, t.testdir())
    await addToken(ledger)
    await t.rejects(
      ledger.publish(publication('1', { files: [measured(NONE)] })),
      /differ in length/,
    )
    t.equal(await ledger.resolve('acme', 'bert', '1'), undefined)
  },
)
