import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { tamper } from '../db/fixture.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { call, deface, dice, flip, head, ledgerOf, MIB, verdict, whereInVault } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t, { STRONGROOM_CACHE_BYTES: '16MiB' })

const ROWS = 6144
const COLUMNS = 2048
const roll = dice(5)
const matrix = Uint8Array.from({ length: ROWS * COLUMNS * 2 }, () => roll() * 256)
const small = Uint8Array.from({ length: 4 }, (_, i) => i)
const fileOf = (rows: number) =>
  writeSafetensors([
    {
      ...{ name: 'matrix', dtype: 'F16', shape: [rows, COLUMNS] },
      bytes: matrix.subarray(0, rows * COLUMNS * 2),
    },
    { name: 'small', dtype: 'F32', shape: [1], bytes: small },
  ])
const file = fileOf(1536)
const DATA = file.length - 1536 * COLUMNS * 2 - small.length

/** Publishing again makes a fresh copy, which no cache knows. */
async function publish(ref = 'acme/a/1', bytes = file): Promise<string> {
  const { ok } = await server.put(ref, bytes)
  if (!ok) throw new Error('not published')
  return whereInVault(server, ref)
}

async function attempt(what: string): Promise<string> {
  const answer = await server.request(`/v1/checkpoints/acme/a/1/${what}`, { token: ADMIN })
  try {
    if (!answer.ok) return (await verdict(answer)).code ?? 'nothing'
    await answer.arrayBuffer()
    return 'ok'
  } catch {
    return 'CUT_OFF'
  }
}

t.test('a flipped bit keeps everything back that shares its chunk', async (t) => {
  // In the 11th row of the matrix: the slices take other bytes of the same megabyte.
  const position = DATA + 10 * COLUMNS * 2 + 77
  for (const what of [
    'tensor?name=matrix',
    'tensor?name=matrix&slice=10',
    'tensor?name=matrix&slice=3,:5',
    'tensor?name=matrix&slice=0:20:19',
    'tensor?name=matrix&slice=:,3',
    'select?name=matrix',
    'select?name=small&name=matrix',
  ]) {
    deface(await publish(), flip(position, 3))
    const url = `/v1/checkpoints/acme/a/1/${what}`
    const answer = await server.request(url, { token: ADMIN })
    t.equal(answer.status, 500, what)
    for (const name of ['etag', 'repr-digest', 'x-tensor-shape', 'content-disposition'])
      t.equal(answer.headers.get(name), null, `${name} would be taken for the problem’s`)
    t.match(await answer.json(), { code: 'INTEGRITY_FAILURE', path: 'model.safetensors', chunk: 0 })
    t.equal(await attempt('tensor?name=small'), 'INTEGRITY_FAILURE', 'it is in quarantine')
    t.equal(await attempt('select?name=small'), 'INTEGRITY_FAILURE')
    const asked = await server.request(url, { token: ADMIN, method: 'HEAD' })
    t.equal(asked.status, 500, 'HEAD promises nothing that GET would not send')
  }
})

t.test('what lies in other chunks is right, and is served until the damage is found', async (t) => {
  deface(await publish(), flip(DATA + 5 * MIB, 0))
  t.equal(await attempt('tensor?name=small'), 'ok')
  t.equal(await attempt('tensor?name=matrix&slice=0'), 'ok')
  t.equal(await attempt('tensor?name=matrix&slice=1280'), 'INTEGRITY_FAILURE')
  t.equal(await attempt('tensor?name=matrix&slice=0'), 'INTEGRITY_FAILURE')
})

/** The matrix without its last column. */
function narrowed(): Buffer {
  const row = COLUMNS * 2
  return Buffer.concat(
    Array.from({ length: ROWS }, (_, i) => matrix.subarray(i * row, i * row + row - 2)),
  )
}

t.test(
  'damage that comes while a slice or a selection runs cuts it off before its end',
  async (t) => {
    const large = fileOf(ROWS)
    await publish('acme/large/1', large)
    const url = '/v1/checkpoints/acme/large/1'
    const selected = Buffer.from(
      await (await server.request(`${url}/select?name=matrix`)).arrayBuffer(),
    )
    for (const [what, right] of [
      ['tensor?name=matrix&slice=:,:-1', narrowed()],
      ['select?name=matrix', selected],
    ] as const) {
      const path = await publish('acme/large/1', large)
      const caller = call(server)
      await caller.send(head(`GET ${url}/${what}`))
      await caller.until('\r\n\r\n')
      caller.pause()
      deface(path, (all) => all.fill(0, all.length - 2 * MIB))
      caller.resume()
      const answer = await caller.closed
      const bodyAt = answer.indexOf('\r\n\r\n') + 4
      const body = answer.subarray(bodyAt)
      t.ok(body.length < right.length, `${what}: ${body.length} of ${right.length} bytes came`)
      t.ok(body.equals(right.subarray(0, body.length)), 'and those that came are right')
      t.equal((await server.request(`${url}/tensor?name=small`)).status, 500)
    }
  },
)

t.test('a tensor’s row that doesn’t fit its file leads nowhere', async (t) => {
  await publish()
  const change = (set: string): void => {
    const blob = `(SELECT id FROM blobs WHERE size = ${file.length})`
    const where = `name = 'small' AND blob = ${blob}`
    tamper(ledgerOf(server), `UPDATE tensors SET ${set} WHERE ${where}`)
  }
  const original = `begin = ${file.length - 4}, "end" = ${file.length}, dtype = 'F32', shape = '[1]'`
  for (const set of [
    `"end" = ${file.length + 1}`,
    `begin = ${file.length + 8}, "end" = ${file.length + 12}`,
    'begin = -4, "end" = 0',
    `begin = begin - 4`,
    `dtype = 'F64'`,
    `dtype = 'F00'`,
    `shape = '[2]'`,
    `shape = '[]', "end" = begin`,
    `shape = '[1e300]'`,
  ]) {
    change(set)
    for (const what of ['tensor?name=small', 'tensor?name=small&slice=...', 'select?prefix=s'])
      t.equal(await attempt(what), 'INTEGRITY_FAILURE', `${set}: ${what}`)
    change(original)
  }
  t.equal(await attempt('tensor?name=small'), 'ok')
})
