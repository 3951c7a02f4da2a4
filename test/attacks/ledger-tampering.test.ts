import t from 'tap'
import { tamper } from '../db/fixture.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { ledgerOf, MIB, read, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

/** Two versions of one checkpoint, whose ids in the ledger the deed is told. */
interface Victims {
  readonly versions: readonly [number, number]
  readonly blobs: readonly [number, number]
}
type Deed = (victims: Victims) => string

/** SQL that exchanges a column, which may be unique, of two rows. */
const exchange = (
  table: string,
  key: string,
  column: string,
  [a, b]: readonly [number, number],
  between = 'randomblob(32)',
): string =>
  `CREATE TEMP TABLE kept AS SELECT (SELECT ${column} FROM ${table} WHERE ${key} = ${a}) AS one,
     (SELECT ${column} FROM ${table} WHERE ${key} = ${b}) AS two;
   UPDATE ${table} SET ${column} = ${between} WHERE ${key} = ${a};
   UPDATE ${table} SET ${column} = (SELECT one FROM kept) WHERE ${key} = ${b};
   UPDATE ${table} SET ${column} = (SELECT two FROM kept) WHERE ${key} = ${a}`

const blob =
  (change: string): Deed =>
  ({ blobs: [id] }) =>
    `UPDATE blobs SET ${change} WHERE id = ${id}`
const version =
  (change: string): Deed =>
  ({ versions: [id] }) =>
    `UPDATE versions SET ${change} WHERE id = ${id}`
const files =
  (change: string): Deed =>
  ({ versions: [id] }) =>
    `${change} WHERE version = ${id}`

const DEEDS: readonly [string, Deed][] = [
  ['the SHA-256 of two blobs exchanged', ({ blobs }) => exchange('blobs', 'id', 'sha256', blobs)],
  ['the vault ids exchanged', ({ blobs }) => exchange('blobs', 'id', 'vault_id', blobs, "'-'")],
  ['the leaf pages exchanged', ({ blobs }) => exchange('leaf_pages', 'blob', 'digests', blobs)],
  ['a SHA-256 replaced', blob('sha256 = randomblob(32)')],
  ['a size enlarged', blob('size = size + 1')],
  ['a size reduced', blob('size = size - 1')],
  ['a chunk size doubled', blob('chunk_size = chunk_size * 2')],
  ['a chunk size halved', blob('chunk_size = chunk_size / 2')],
  ['the leaves gone', ({ blobs: [id] }) => `DELETE FROM leaf_pages WHERE blob = ${id}`],
  [
    'the last leaf gone',
    ({ blobs: [id] }) =>
      `UPDATE leaf_pages SET digests = substr(digests, 1, length(digests) - 32) WHERE blob = ${id}`,
  ],
  ['a file repointed', (ids) => files(`UPDATE files SET blob = ${ids.blobs[1]}`)(ids)],
  ['a file renamed', files("UPDATE files SET path = 'other'")],
  ['a file gone', files('DELETE FROM files')],
  [
    'a file added',
    ({ versions, blobs }) => `INSERT INTO files VALUES (${versions[0]}, 'b', ${blobs[1]})`,
  ],
  ["a version's metadata altered", version(`metadata = '{"seed":"2"}'`)],
  ['a revision replaced', version('revision = randomblob(32)')],
  [
    'the names of two versions exchanged',
    ({ versions }) => exchange('versions', 'id', 'version', versions, "'-'"),
  ],
  [
    'a version moved to another checkpoint',
    ({
      versions: [id],
    }) => `INSERT INTO checkpoints (owner, name, created_at) VALUES ('acme', 'new', '');
      UPDATE versions SET checkpoint = last_insert_rowid() WHERE id = ${id}`,
  ],
  [
    'a checkpoint renamed',
    ({ versions: [id] }) =>
      `UPDATE checkpoints SET name = 'renamed' WHERE id = (SELECT checkpoint FROM versions WHERE id = ${id})`,
  ],
]

async function publishTwo(server: TestServer, name: string, seed: number): Promise<Victims> {
  const found = []
  for (const version of ['a', 'b']) {
    const bytes = weights(1.25 * MIB, seed + (version === 'a' ? 0 : 1))
    await server.put(`acme/${name}/${version}`, bytes)
    const { ledger } = server.strongroom
    const resolved = await ledger.resolve('acme', name, version)
    const id = resolved?.version.id ?? 0
    const [file] = await ledger.filesOf(id)
    found.push({ version: id, blob: file?.blob.id ?? 0 })
  }
  const [a, b] = found
  if (a === undefined || b === undefined) throw new Error('two versions')
  return { versions: [a.version, b.version], blobs: [a.blob, b.blob] }
}

const REFUSED = ['INTEGRITY_FAILURE', 'NOT_FOUND', 'CUT_OFF']
const ranges = [
  [undefined, 0, undefined],
  ['bytes=0-99', 0, 100],
  ['bytes=-1', -1, undefined],
  [`bytes=${MIB - 1}-${MIB}`, MIB - 1, MIB + 1],
] as const

t.test('an altered row is an integrity failure, and never other bytes', async (t) => {
  for (const [i, [what, deed]] of DEEDS.entries()) {
    const right = weights(1.25 * MIB, 2 * i)
    const victims = await publishTwo(server, `m${i}`, 2 * i)
    tamper(ledgerOf(server), deed(victims))
    for (const name of [`m${i}`, 'new', 'renamed']) {
      for (const [range, from, to] of ranges) {
        const { bytes, code } = await read(server, `acme/${name}/a`, range ? { range } : {})
        const isRight = bytes?.equals(right.subarray(from, to)) === true
        // The right bytes by range are no lie, even where the whole can't be had.
        t.ok(
          isRight ? range !== undefined : REFUSED.includes(code ?? ''),
          `${what}: ${name} ${range ?? 'whole'}: ${code ?? 'bytes'}`,
        )
      }
    }
  }
})

t.test('a swapped SHA-256 gets no new version to vouch for it', async (t) => {
  const { blobs } = await publishTwo(server, 'bert', 1001)
  const { sha256 } = (await server.strongroom.ledger.blob(blobs[0])) ?? { sha256: '' }
  tamper(ledgerOf(server), exchange('blobs', 'id', 'sha256', blobs))
  const answer = await server.request('/v1/checkpoints/acme/fresh/1', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ files: [{ path: 'model.safetensors', sha256 }] }),
  })
  t.match(await verdict(answer), { status: 500, code: 'INTEGRITY_FAILURE' })
  t.equal((await server.request('/v1/checkpoints/acme/fresh')).status, 404)
})

t.test('an altered audit log shows', async (t) => {
  await publishTwo(server, 'kept', 2001)
  const verify = async (): Promise<unknown> =>
    (await server.request('/v1/audit/verify', { token: ADMIN })).json()
  t.match(await verify(), { valid: true })
  tamper(ledgerOf(server), "UPDATE audit SET actor_name = 'another' WHERE action = 'publish'")
  t.match(await verify(), { valid: false })
})

t.test('a ledger of another program, a newer release or another vault is not opened', async (t) => {
  await server.close()
  for (const [sql, name] of [
    ["UPDATE vault SET identity = 'another'", 'FoldersRefused'],
    ['PRAGMA user_version = 99', 'LedgerRefused'],
    ['PRAGMA application_id = 1', 'LedgerRefused'],
  ] as const) {
    tamper(ledgerOf(server), sql)
    await t.rejects(startServer(t, {}, server.folder), { name }, sql)
  }
})
