import t from 'tap'
import { rowDigest } from '../../db/row-digest.ts'
import { tamper } from '../db/fixture.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { problem } from '../routes/wire.ts'
import { ledgerOf, MIB, read, weights } from './hostile.ts'

// Rows that describe bytes: the bytes themselves hold, and what is said of them doesn't.

const server = await startServer(t)

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  server.request(`/v1/checkpoints/acme/${path}`, { token: ADMIN, ...init })

const OF_ITS_TENSORS = [
  '/tensors',
  '/tensor?name=embed',
  '/tensor?name=embed&slice=1:3',
  '/select?name=embed',
  '/select?prefix=e',
]

/** Publishes a file of its own, and returns the row of its blob as SQL. */
async function victim(name: string, seed: number): Promise<string> {
  await server.put(`acme/${name}/a`, weights(MIB / 8, seed))
  await server.put(`acme/${name}/b`, weights(MIB / 8, seed + 500))
  const { ledger } = server.strongroom
  const resolved = await ledger.resolve('acme', name, 'a')
  const [file] = await ledger.filesOf(resolved?.version.id ?? 0)
  if (file === undefined) throw new Error('not published')
  return String(file.blob.id)
}

async function verify(name: string): Promise<unknown> {
  return (await ask(`${name}/a/verify`, { method: 'POST' })).json()
}

/** SQL that gives `embed` another value of a column, of the tensor `head` of the same file. */
const ofHead = (blob: string, column: string): string =>
  `${column} = (SELECT ${column} FROM tensors WHERE blob = ${blob} AND name = 'head')`

const DEEDS: readonly [string, (blob: string) => string][] = [
  [
    'another tensor’s bytes',
    (blob) => `${ofHead(blob, 'begin')}, ${ofHead(blob, '"end"')}, ${ofHead(blob, 'sha256')}`,
  ],
  ['another tensor’s place', (blob) => `${ofHead(blob, 'begin')}, ${ofHead(blob, '"end"')}`],
  ['a place in the header', () => 'begin = 0, "end" = "end" - begin'],
  ['another SHA-256', () => 'sha256 = zeroblob(32)'],
  ['another dtype of as many bits', () => "dtype = 'I8'"],
  ['another shape of as many elements', () => 'shape = json_array(shape ->> 0, 1)'],
  ['a shape that is no JSON', () => "shape = 'nope'"],
  ['statistics that it has not', () => 'statistics = zeroblob(72)'],
  ['another name', () => "name = 'embed '"],
  ['another tensor’s digest', (blob) => ofHead(blob, 'row_digest')],
  ['no digest', () => 'row_digest = NULL'],
]

t.test('an altered row of a tensor never leads to other bytes, and verify finds it', async (t) => {
  for (const [i, [what, deed]] of DEEDS.entries()) {
    const name = `rows${i}`
    const blob = await victim(name, 10 * i)
    tamper(
      ledgerOf(server),
      `UPDATE tensors SET ${deed(blob)} WHERE blob = ${blob} AND name = 'embed'`,
    )
    const isRenamed = what === 'another name'
    const asks = [...OF_ITS_TENSORS.map((of) => `${name}/a${of}`), `${name}/diff?from=a&to=b`]
    for (const path of isRenamed
      ? asks.map((one) => one.replace('name=embed', 'name=embed%20'))
      : asks)
      await problem(t, await ask(path), 500, 'INTEGRITY_FAILURE', { path: 'model.safetensors' })
    t.match(await verify(name), { valid: false, files: [{ valid: false, chunk: undefined }] }, what)
    const { bytes } = await read(server, `acme/${name}/a`)
    t.strictSame(bytes, Buffer.from(weights(MIB / 8, 10 * i)), 'the bytes are still served')
  }
})

t.test('a row that was altered along with its digest does not lead into the header', async (t) => {
  const blob = await victim('header', 3000)
  const { ledger } = server.strongroom
  const id = (await ledger.resolve('acme', 'header', 'a'))?.version.id ?? 0
  const [file] = await ledger.filesOf(id)
  const [tensor] = await ledger.tensorsOf({ versionId: id, limit: 1 })
  if (file === undefined || tensor === undefined) throw new Error('not published')
  const { begin, end, shape } = tensor
  const row = { ...tensor, shape: JSON.stringify(shape), begin: 0, end: end - begin }
  const digest = rowDigest(file.blob.sha256, { ...row, statistics: null })
  tamper(
    ledgerOf(server),
    `UPDATE tensors SET begin = 0, "end" = ${end - begin}, row_digest = x'${digest}'
     WHERE blob = ${blob} AND name = '${tensor.name}'`,
  )
  t.equal((await ask('header/a/tensors')).status, 200)
  for (const of of OF_ITS_TENSORS.slice(1))
    await problem(t, await ask(`header/a${of}`), 500, 'INTEGRITY_FAILURE')
})

t.test('verify counts the rows, quarantines nothing and is entered', async (t) => {
  for (const [name, sql] of [
    ['gone', (blob: string) => `DELETE FROM tensors WHERE blob = ${blob} AND name = 'embed'`],
    ['all-gone', (blob: string) => `DELETE FROM tensors WHERE blob = ${blob}`],
    ['miscounted', (blob: string) => `UPDATE blobs SET tensors = 3 WHERE id = ${blob}`],
  ] as const) {
    const blob = await victim(name, 4000 + name.length)
    t.match(await verify(name), { valid: true }, name)
    tamper(ledgerOf(server), sql(blob))
    t.match(await verify(name), { valid: false }, name)
    t.match(await server.strongroom.ledger.blob(Number(blob)), { state: 'sealed' })
    await server.strongroom.audit.flush()
    const entries = await server.strongroom.ledger.audit({
      after: 0,
      limit: 1000,
      action: 'verify',
    })
    t.match(entries.at(-1), {
      subject: `acme/${name}@a`,
      outcome: 'INTEGRITY_FAILURE',
      details: { failing: [{ path: 'model.safetensors', rows: 'altered' }] },
    })
    t.ok(
      server.log().some((line) => line['subject'] === `acme/${name}@a` && line['level'] === 50),
      'and is in the log',
    )
  }
})

t.test('a column that is not the JSON that was written is an integrity failure', async (t) => {
  const everything = ['', '/tensors', '/tensor?name=embed', '/select?name=embed', '/hashes']
  for (const [i, [table, set]] of [
    ['blobs', "metadata = '{'"],
    ['blobs', "metadata = '[]'"],
    ['blobs', `metadata = '{"a":1}'`],
    ['versions', "metadata = '[1]'"],
    ['versions', 'metadata = \'{"a":null}\''],
    ['versions', "warnings = '{}'"],
    ['versions', "warnings = '[1]'"],
    ['versions', "warnings = 'nope'"],
  ].entries()) {
    const name = `json${i}`
    const blob = await victim(name, 5000 + 10 * i)
    const id = table === 'blobs' ? blob : `(SELECT version FROM files WHERE blob = ${blob})`
    tamper(ledgerOf(server), `UPDATE ${table} SET ${set} WHERE id = ${id}`)
    for (const of of everything)
      await problem(t, await ask(`${name}/a${of}`), 500, 'INTEGRITY_FAILURE', { chunk: null })
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(`${name}/a/files/model.safetensors`, { method })
      t.equal(answer.status, 500)
      await answer.arrayBuffer()
    }
    await problem(t, await ask(`${name}/a/verify`, { method: 'POST' }), 500, 'INTEGRITY_FAILURE')
    await problem(t, await ask(`${name}/diff?from=a&to=b`), 500, 'INTEGRITY_FAILURE')
    const last = server.log().findLast(({ level }) => level === 50)
    t.match(last, { msg: 'a row of the ledger was altered', err: { message: /metadata|warnings/ } })
  }
})

t.test('so is one that the writer meets', async (t) => {
  const moved = await ask('json3/tags/stable', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ref: 'a' }),
  })
  await problem(t, moved, 500, 'INTEGRITY_FAILURE')
})
