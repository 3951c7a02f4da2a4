import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { Registry } from 'prom-client'
import t from 'tap'
import { SERVER } from '../../src/access/principal.ts'
import { SHIPPED_REF } from '../../src/config.ts'
import { admitShipped } from '../../src/detect/admit-shipped.ts'
import { parseDetector } from '../../src/detect/detector-ref.ts'
import { createDetectors } from '../../src/detect/detectors.ts'
import { type ShippedDetector, shippedDetector } from '../../src/detect/shipped.ts'
import {
  parseCheckpointName,
  parseSha256,
  parseTagName,
  parseVersionName,
} from '../../src/registry/names.ts'
import { moveTag } from '../../src/registry/tags.ts'
import { deface, flip, whereInVault } from '../attacks/hostile.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile } from '../routes/wire.ts'
import { until } from './asking.ts'
import { tinyDetector } from './fixture.ts'

const bytes = tinyDetector()
const PATH = '/v1/checkpoints/strongroom/pii'

function shippedIn({ folder }: TestServer, file: Uint8Array = bytes): ShippedDetector {
  const path = join(folder, 'pii.safetensors')
  writeFileSync(path, file)
  return {
    file: path,
    sha256: parseSha256(createHash('sha256').update(bytes).digest('hex')),
    checkpoint: parseCheckpointName('strongroom', 'pii'),
    version: parseVersionName('1.0'),
    tag: parseTagName('production'),
    metadata: { shipped_with: 'strongroom' },
  }
}

/** As a start does it. */
async function admit(server: TestServer, shipped: ShippedDetector): Promise<string[]> {
  const { ledger, publish } = server.strongroom
  const said: string[] = []
  const log = pino(
    {},
    { write: (line: string) => said.push((JSON.parse(line) as { msg: string }).msg) },
  )
  await admitShipped({ ledger, publish, log }, shipped)
  return said
}

const tagged = async (server: TestServer): Promise<unknown> =>
  (await jsonOf(await server.request(PATH)))['tags']

t.test(
  'at the first start it is published and tagged like anybody’s file, by the server itself',
  async (t) => {
    const server = await startServer(t)
    const shipped = shippedIn(server)
    await admit(server, shipped)
    t.match(await jsonOf(await server.request(`${PATH}/production`)), {
      checkpoint: 'strongroom/pii',
      version: '1.0',
      created_by: 'strongroom',
      metadata: { shipped_with: 'strongroom' },
      files: [{ path: 'model.safetensors', sha256: shipped.sha256 }],
    })
    const { items } = await jsonOf(await server.request('/v1/audit'))
    t.match(items, [
      {},
      {},
      { action: 'publish', who: null, subject: 'strongroom/pii@1.0', outcome: 'ok' },
      { action: 'tag', who: null, subject: 'strongroom/pii@production', outcome: 'ok' },
    ])
    t.match(await jsonOf(await server.request('/v1/audit/verify')), { valid: true })
    t.strictSame(await admit(server, shipped), [], 'and at the next nothing happens')
  },
)

t.test('a start that ended between the two is finished by the next', async (t) => {
  const server = await startServer(t)
  const shipped = shippedIn(server)
  await server.put('strongroom/pii/1.0', bytes, { query: '?meta.shipped_with=strongroom' })
  await admit(server, shipped)
  t.match(await tagged(server), { production: '1.0' })
})

t.test('damaged bytes of it are repaired by a start', async (t) => {
  const server = await startServer(t)
  const shipped = shippedIn(server)
  await admit(server, shipped)
  deface(await whereInVault(server, 'strongroom/pii/1.0'), flip(5_000))
  const file = `${PATH}/1.0/files/model.safetensors`
  await problem(t, await server.request(file), 500, 'INTEGRITY_FAILURE')
  t.strictSame(await admit(server, shipped), ['shipped detector published'])
  const response = await server.request(file)
  t.equal(Buffer.compare(Buffer.from(await response.arrayBuffer()), bytes), 0)
})

t.test('a tag that an admin moved or deleted stays so', async (t) => {
  const server = await startServer(t)
  const shipped = shippedIn(server)
  await admit(server, shipped)
  await server.put('strongroom/pii/2.0', smallFile())
  const tag = {
    principal: SERVER,
    address: undefined,
    checkpoint: shipped.checkpoint,
    tag: shipped.tag,
  }
  await moveTag(server.strongroom.ledger, { ...tag, expected: undefined }, '2.0')
  await admit(server, shipped)
  t.match(await tagged(server), { production: '2.0' })
  await server.request(`${PATH}/tags/production`, { method: 'DELETE', token: ADMIN })
  await admit(server, shipped)
  t.notMatch(await tagged(server), { production: /./ })
})

t.test('a version that was withdrawn is not published again', async (t) => {
  const server = await startServer(t)
  const shipped = shippedIn(server)
  await admit(server, shipped)
  await server.request(`${PATH}/1.0?reason=bad`, { method: 'DELETE', token: ADMIN })
  t.strictSame(await admit(server, shipped), [])
  await problem(t, await server.request(`${PATH}/1.0`), 410, 'WITHDRAWN')
})

t.test('somebody’s own version of that name stays, and isn’t made production', async (t) => {
  const server = await startServer(t)
  const other = tinyDetector({ seed: 5 })
  await server.put('Strongroom/PII/1.0', other)
  t.strictSame(await admit(server, shippedIn(server)), [])
  t.strictSame(await tagged(server), { latest: '1.0' })
})

t.test('a file that isn’t the one that was shipped is refused, and that is entered', async (t) => {
  const server = await startServer(t)
  const shipped = shippedIn(server, tinyDetector({ seed: 6 }))
  t.strictSame(await admit(server, shipped), ['the shipped detector could not be admitted'])
  await problem(t, await server.request(PATH), 404, 'NOT_FOUND')
  const { items } = await jsonOf(await server.request('/v1/audit?action=refuse'))
  t.match(items, [{ who: null, subject: 'strongroom/pii@1.0', outcome: 'DIGEST_MISMATCH' }])
  const gone = { ...shipped, file: `${shipped.file}.gone` }
  t.strictSame(await admit(server, gone), ['the shipped detector could not be admitted'])
})

t.test('why it isn’t there is told where the configuration asks for it', async (t) => {
  const { strongroom, ...server } = await startServer(t)
  const { ledger, publish, readVerified } = strongroom
  const log = pino({ enabled: false })
  const shipped = shippedIn({ strongroom, ...server }, tinyDetector({ seed: 6 }))
  const detectors = createDetectors({
    config: { ...strongroom.config, DETECTOR: parseDetector(SHIPPED_REF) },
    ...{ ledger, readVerified, log, registry: new Registry() },
    admitShipped: () => admitShipped({ ledger, publish, log }, shipped),
  })
  detectors.start()
  await until(detectors, ({ state }) => state === 'absent')
  await detectors.close()
  t.match(detectors.slots(), [{ problem: { why: /^The detector that comes with .+: .*\.$/ } }])
})

t.test('the file that comes along is the one that is shipped', (t) => {
  const { file, sha256 } = shippedDetector()
  t.equal(createHash('sha256').update(readFileSync(file)).digest('hex'), sha256)
  t.end()
})

t.test('only an admin publishes or tags below the server’s owner', async (t) => {
  const server = await startServer(t)
  await admit(server, shippedIn(server))
  const writer = await server.token('writer')
  await problem(
    t,
    await server.put('strongroom/pii/1.1', smallFile(), { token: writer }),
    403,
    'FORBIDDEN',
  )
  const response = await server.request(`${PATH}/tags/production`, {
    method: 'PUT',
    token: writer,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ref: '1.0' }),
  })
  await problem(t, response, 403, 'TAG_PROTECTED')
})
