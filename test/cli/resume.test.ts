import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, relayTo, run, start } from './fixture.ts'

const MIB = 1024 * 1024
const SIZE = 8 * MIB
const HEADERS = 4096
const bytes = fileOf(SIZE - 1000)

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
await server.put('acme/bert/1', bytes)

const partIn = (folder: string): string => {
  const part = readdirSync(folder).find((name) => name.endsWith('.strongroom-part'))
  if (part === undefined) throw new Error('no part was left')
  return join(folder, part)
}

async function killedPull(t: Parameters<typeof relayTo>[0], folder: string): Promise<void> {
  const relay = await relayTo(t, server.url, { afterBytes: 5.5 * MIB, then: 'stall' })
  const pull = start(['pull', 'acme/bert@1', '-o', folder], { ...env, STRONGROOM_URL: relay.url })
  await relay.reached
  for (;;) {
    const [part] = readdirSync(folder)
    if (part !== undefined && statSync(join(folder, part)).size >= 5 * MIB) break
    await pause(5)
  }
  pull.kill('SIGINT')
  t.teardown(() => pull.ended)
  await pull.ended
}

t.test(
  'a pull that was interrupted leaves no file under its name, and the next one goes on',
  async (t) => {
    const folder = t.testdir()
    await killedPull(t, folder)
    t.match(partIn(folder), /\/\.model\.safetensors\.[0-9a-f]{16}\.strongroom-part$/)
    t.notOk(readdirSync(folder).includes('model.safetensors'))

    const relay = await relayTo(t, server.url, { afterBytes: Infinity, then: 'cut' })
    const pulled = await run(['pull', 'acme/bert@1', '-o', folder], {
      ...env,
      STRONGROOM_URL: relay.url,
    })
    t.equal(pulled.code, 0, pulled.stderr)
    t.ok(relay.fileBytes() < SIZE - 5 * MIB + HEADERS, 'only the rest was fetched')
    t.strictSame(readdirSync(folder), ['model.safetensors'])
    t.ok(readFileSync(join(folder, 'model.safetensors')).equals(bytes))
  },
)

t.test('a part that was damaged meanwhile is fetched again from where it was', async (t) => {
  const folder = t.testdir()
  await killedPull(t, folder)
  const part = partIn(folder)
  const damaged = readFileSync(part)
  damaged[2 * MIB + 5] = (damaged[2 * MIB + 5] ?? 0) ^ 1
  writeFileSync(part, damaged)

  const relay = await relayTo(t, server.url, { afterBytes: Infinity, then: 'cut' })
  const pulled = await run(['pull', 'acme/bert@1', '-o', folder], {
    ...env,
    STRONGROOM_URL: relay.url,
  })
  t.equal(pulled.code, 0, pulled.stderr)
  t.ok(relay.fileBytes() >= SIZE - 2 * MIB - 1000)
  t.ok(relay.fileBytes() < SIZE - 2 * MIB + HEADERS, 'what held was not fetched again')
  t.ok(readFileSync(join(folder, 'model.safetensors')).equals(bytes))
})

t.test('a part longer than the file is cut to it', async (t) => {
  const folder = t.testdir()
  await killedPull(t, folder)
  writeFileSync(partIn(folder), Buffer.concat([bytes, Buffer.from('more')]))
  const relay = await relayTo(t, server.url, { afterBytes: Infinity, then: 'cut' })
  const pulled = await run(['pull', 'acme/bert@1', '-o', folder], {
    ...env,
    STRONGROOM_URL: relay.url,
  })
  t.equal(pulled.code, 0, pulled.stderr)
  t.equal(relay.fileBytes(), 0, 'nothing was missing')
  t.ok(readFileSync(join(folder, 'model.safetensors')).equals(bytes))
})

t.test('a connection that is lost now and then is taken up again', async (t) => {
  const folder = t.testdir()
  const relay = await relayTo(t, server.url, { afterBytes: 2.5 * MIB, then: 'cut' })
  const pulled = await run(['pull', 'acme/bert@1', '-o', folder], {
    ...env,
    STRONGROOM_URL: relay.url,
  })
  t.equal(pulled.code, 0, pulled.stderr)
  t.ok(readFileSync(join(folder, 'model.safetensors')).equals(bytes))
})

t.test('a connection that stays lost ends with 3 and leaves the part', async (t) => {
  const folder = t.testdir()
  const relay = await relayTo(t, server.url, { afterBytes: 0.5 * MIB, then: 'cut' })
  const pulled = await run(['pull', 'acme/bert@1', '-o', folder], {
    ...env,
    STRONGROOM_URL: relay.url,
  })
  t.match(pulled, { code: 3, stderr: /UNREACHABLE/ })
  t.ok(partIn(folder))
  t.notOk(readdirSync(folder).includes('model.safetensors'))
})

t.test('a chunk that rotted in the registry is refused, not delivered', async (t) => {
  const folder = t.testdir()
  const other = fileOf(3 * MIB, { rot: 'soon' })
  await server.put('acme/rotten/1', other)
  const vault = join(server.folder, 'data/vault/blobs')
  const blob = readdirSync(vault, { recursive: true, encoding: 'utf8' })
    .map((name) => join(vault, name))
    .find((path) => statSync(path).isFile() && statSync(path).size === other.length)
  const stored = readFileSync(blob ?? '')
  stored[2 * MIB + 1] = (stored[2 * MIB + 1] ?? 0) ^ 1
  writeFileSync(blob ?? '', stored)

  t.match(await run(['verify', 'acme/rotten@1', '--json'], env), {
    code: 1,
    stdout: /"valid": false/,
  })
  const pulled = await run(['pull', 'acme/rotten@1', '-o', folder], env)
  t.match(pulled, { code: 1, stderr: /INTEGRITY_FAILURE/ })
  t.notOk(readdirSync(folder).includes('model.safetensors'))
})
