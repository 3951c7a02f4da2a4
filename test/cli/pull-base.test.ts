import { createCipheriv, createHash } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Closing, relayTo, run, start } from './fixture.ts'

const MIB = 1024 * 1024
const KIB = 1024

/** Bytes that no other seed gives, in whichever chunk. */
function noise(seed: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes))
}

interface Layer {
  readonly name: string
  readonly seed: string
  readonly sizeBytes: number
}

const tensor = ({ name, seed, sizeBytes }: Layer) => ({
  name,
  dtype: 'U8',
  shape: [sizeBytes],
  bytes: noise(seed, sizeBytes),
})
const fileOf = (layers: readonly Layer[], metadata?: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(writeSafetensors(layers.map(tensor), metadata))

const BODY: readonly Layer[] = [
  { name: 'embed', seed: 'embed', sizeBytes: 2 * MIB + 12_345 },
  { name: 'layers.0', seed: 'layers.0', sizeBytes: MIB + 7 },
  { name: 'layers.1', seed: 'layers.1', sizeBytes: 1.5 * MIB },
  { name: 'norm', seed: 'norm', sizeBytes: 300 },
]
const HEAD_BYTES = 200 * KIB
const head = (seed: string): Layer => ({ name: 'head', seed, sizeBytes: HEAD_BYTES })
/** In the middle, so that bytes behind it shift where its header does. */
const model = (seed: string): readonly Layer[] => [
  ...BODY.slice(0, 2),
  head(seed),
  ...BODY.slice(2),
]

const base = fileOf(model('pretrained'))
const tuned = fileOf(model('tuned'))

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
for (const [ref, bytes] of [
  ['acme/bert/base', base],
  ['acme/bert/tuned', tuned],
] as const) {
  await server.put(ref, bytes)
}

interface Report {
  readonly fetched_bytes: number
  readonly reused_bytes: number
  readonly files: readonly { readonly path: string; readonly outcome: string }[]
}

/** A pull with --json through a relay that counts. */
async function pulled(
  t: Closing,
  folder: string,
  args: readonly string[],
): Promise<Report & { readonly wireBytes: number; readonly stderr: string }> {
  const relay = await relayTo(t, server.url, { afterBytes: Infinity, then: 'cut' })
  const ended = await run(
    ['pull', ...args, '--json'],
    { ...env, STRONGROOM_URL: relay.url },
    folder,
  )
  if (ended.code !== 0) throw new Error(ended.stderr)
  const report = JSON.parse(ended.stdout) as Report
  return { ...report, wireBytes: relay.fileBytes(), stderr: ended.stderr }
}

const model1 = (folder: string): string => join(folder, 'model.safetensors')

t.test('where only the head was trained, little more than the head is fetched', async (t) => {
  const folder = t.testdir({ 'model.safetensors': base })
  const { fetched_bytes, reused_bytes, wireBytes } = await pulled(t, folder, [
    'acme/bert@tuned',
    '--base',
    'base',
  ])
  t.ok(readFileSync(model1(folder)).equals(tuned), 'the base was replaced in place')
  t.equal(fetched_bytes + reused_bytes, tuned.length)
  t.ok(fetched_bytes < HEAD_BYTES + 64 * KIB, `${fetched_bytes} bytes were fetched`)
  t.ok(wireBytes < fetched_bytes + 4 * KIB, 'and that is what went over the wire')
  t.strictSame(readdirSync(folder), ['model.safetensors'])

  const again = await pulled(t, folder, ['acme/bert@tuned', '--base', 'base'])
  t.match(again, { fetched_bytes: 0, reused_bytes: 0, files: [{ outcome: 'present' }] })
})

t.test(
  'a header of another length shifts every byte, and still only the head is fetched',
  async (t) => {
    const note = 'n'.repeat(5001)
    const shifted = fileOf(model('shifted'), { note })
    await server.put('acme/bert/shifted', shifted)
    const folder = t.testdir({ 'model.safetensors': base })
    const report = await pulled(t, folder, ['acme/bert@shifted', '--base', 'acme/bert@base'])
    t.ok(readFileSync(model1(folder)).equals(shifted))
    t.ok(report.fetched_bytes < HEAD_BYTES + 64 * KIB, `${report.fetched_bytes} bytes were fetched`)
    t.equal(report.fetched_bytes + report.reused_bytes, shifted.length)
  },
)

t.test('another sharding takes its tensors from wherever they lie', async (t) => {
  const [embed, layer0, layer1, norm] = BODY
  if (embed === undefined || layer0 === undefined || layer1 === undefined || norm === undefined)
    throw new Error('four')
  const shards: Readonly<Record<string, readonly Layer[]>> = {
    'a.safetensors': [layer1, head('sharded')],
    'b.safetensors': [norm, layer0, embed],
  }
  const folder = t.testdir({
    shards: Object.fromEntries(Object.entries(shards).map(([path, own]) => [path, fileOf(own)])),
    have: { 'model.safetensors': base },
  })
  const pushed = await run(['push', 'shards', 'acme/bert@sharded'], env, folder)
  t.equal(pushed.code, 0, pushed.stderr)
  const there = await pulled(t, folder, [
    'acme/bert@sharded',
    '-o',
    'out',
    '--base',
    'base',
    '--base-dir',
    'have',
  ])
  t.ok(there.fetched_bytes < HEAD_BYTES + 128 * KIB, `${there.fetched_bytes} bytes were fetched`)
  for (const [path, own] of Object.entries(shards))
    t.ok(readFileSync(join(folder, 'out', path)).equals(fileOf(own)), path)
  t.ok(readFileSync(join(folder, 'have/model.safetensors')).equals(base), 'the base is as it was')

  const back = await pulled(t, folder, [
    'acme/bert@tuned',
    '-o',
    'back',
    '--base',
    'sharded',
    '--base-dir',
    'out',
  ])
  t.ok(back.fetched_bytes < HEAD_BYTES + 64 * KIB, `${back.fetched_bytes} bytes were fetched`)
  t.ok(readFileSync(join(folder, 'back/model.safetensors')).equals(tuned))
})

t.test('shards that exchange their tensors in place lose none to each other', async (t) => {
  const x = { name: 'x', seed: 'x', sizeBytes: MIB }
  const y = { name: 'y', seed: 'y', sizeBytes: MIB }
  const folder = t.testdir({
    one: { 'a.safetensors': fileOf([x]), 'b.safetensors': fileOf([y]) },
    two: { 'a.safetensors': fileOf([y]), 'b.safetensors': fileOf([x]) },
  })
  t.equal((await run(['push', 'one', 'acme/swap@1'], env, folder)).code, 0)
  t.equal((await run(['push', 'two', 'acme/swap@2'], env, folder)).code, 0)
  const report = await pulled(t, folder, ['acme/swap@2', '-o', 'one', '--base', '1'])
  t.ok(report.fetched_bytes < 4 * KIB, `${report.fetched_bytes} bytes were fetched`)
  for (const path of ['a.safetensors', 'b.safetensors'])
    t.ok(readFileSync(join(folder, 'one', path)).equals(readFileSync(join(folder, 'two', path))))
})

t.test('a base that rotted here costs the chunks that rotted', async (t) => {
  const folder = t.testdir({ 'model.safetensors': base })
  const rotten = Buffer.from(base)
  rotten[MIB + 5] = (rotten[MIB + 5] ?? 0) ^ 1
  writeFileSync(model1(folder), rotten)
  const report = await pulled(t, folder, ['acme/bert@tuned', '--base', 'base'])
  t.ok(readFileSync(model1(folder)).equals(tuned))
  t.ok(report.fetched_bytes > MIB, 'the chunk was fetched')
  t.ok(report.fetched_bytes < MIB + HEAD_BYTES + 64 * KIB, `${report.fetched_bytes} were fetched`)
  t.equal(report.fetched_bytes + report.reused_bytes, tuned.length)
})

t.test('a base that is another file altogether costs the whole', async (t) => {
  const folder = t.testdir({ 'model.safetensors': noise('unrelated', base.length) })
  const report = await pulled(t, folder, ['acme/bert@tuned', '--base', 'base'])
  t.ok(readFileSync(model1(folder)).equals(tuned))
  t.equal(report.reused_bytes, 0)
})

t.test('a base that cannot be used is named, and everything is fetched', async (t) => {
  const cases: Readonly<Record<string, (folder: string) => void>> = {
    'it is not there': () => undefined,
    'it has another size': (folder) => {
      writeFileSync(model1(folder), base.subarray(0, -1))
    },
    'it is a symbolic link': (folder) => {
      writeFileSync(join(folder, 'elsewhere'), base)
      symlinkSync('elsewhere', model1(folder))
    },
    'it is not a file': (folder) => {
      mkdirSync(model1(folder))
    },
  }
  const root = t.testdir({ 0: { have: {} }, 1: { have: {} }, 2: { have: {} }, 3: { have: {} } })
  const args = ['acme/bert@tuned', '-o', 'out', '--base', 'base', '--base-dir', 'have']
  const all = Object.entries(cases).map(async ([why, make], i) => {
    const folder = join(root, String(i))
    make(join(folder, 'have'))
    return { why, folder, report: await pulled(t, folder, args) }
  })
  for (const { why, folder, report } of await Promise.all(all)) {
    t.match(report.stderr, `base: have/model.safetensors is not used: ${why}`)
    t.match(report, { fetched_bytes: tuned.length, reused_bytes: 0 }, why)
    t.ok(readFileSync(join(folder, 'out/model.safetensors')).equals(tuned), why)
  }
})

t.test('no link on the way to a base is followed either', async (t) => {
  const folder = t.testdir({ elsewhere: { 'm.safetensors': base }, have: {} })
  const args = ['push', 'elsewhere/m.safetensors', 'acme/nested@1', '--path', 'sub/m.safetensors']
  t.equal((await run(args, env, folder)).code, 0)
  symlinkSync('../elsewhere', join(folder, 'have/sub'))
  const report = await pulled(t, folder, [
    'acme/bert@tuned',
    '--base',
    'acme/nested@1',
    '--base-dir',
    'have',
  ])
  t.match(
    report.stderr,
    /have\/sub\/m\.safetensors is not used: a part of its path is not a folder/,
  )
  t.equal(report.reused_bytes, 0)
})

t.test('a pull from a base that was interrupted goes on, and fetches nothing twice', async (t) => {
  const big = [...BODY, { name: 'head', seed: 'big', sizeBytes: 4 * MIB }]
  const old = fileOf([...BODY, { name: 'head', seed: 'old', sizeBytes: 4 * MIB }])
  const next = fileOf(big)
  await server.put('acme/big/1', old)
  await server.put('acme/big/2', next)
  const folder = t.testdir({ 'model.safetensors': old })
  const args = ['pull', 'acme/big@2', '--base', '1']

  const stalling = await relayTo(t, server.url, { afterBytes: 2.5 * MIB, then: 'stall' })
  const pull = start(args, { ...env, STRONGROOM_URL: stalling.url }, folder)
  await stalling.reached
  const part = (): string | undefined => readdirSync(folder).find((name) => name.startsWith('.'))
  const proven = old.length - 2 * MIB
  for (;;) {
    const name = part()
    if (name !== undefined && statSync(join(folder, name)).size >= proven) break
    await pause(5)
  }
  pull.kill('SIGKILL')
  await pull.ended
  t.ok(readFileSync(model1(folder)).equals(old), 'the base is still in its place')

  const report = await pulled(t, folder, ['acme/big@2', '--base', '1'])
  t.ok(report.fetched_bytes <= 2 * MIB + 64 * KIB, `${report.fetched_bytes} bytes were fetched`)
  t.ok(readFileSync(model1(folder)).equals(next))
})

t.test('a connection that is lost in the middle of a difference is taken up again', async (t) => {
  const folder = t.testdir({ 'model.safetensors': base })
  const relay = await relayTo(t, server.url, { afterBytes: 150 * KIB, then: 'cut' })
  relay.reached.then(relay.open)
  const args = ['pull', 'acme/bert@tuned', '--base', 'base']
  const ended = await run(args, { ...env, STRONGROOM_URL: relay.url }, folder)
  t.equal(ended.code, 0, ended.stderr)
  t.match(ended.stdout, /fetched, .* from the base/)
  t.ok(readFileSync(model1(folder)).equals(tuned))
})

t.test('a base that shrinks while it is copied from costs what it lost', async (t) => {
  const folder = t.testdir({ 'model.safetensors': base })
  const relay = await relayTo(t, server.url, { afterBytes: 100 * KIB, then: 'cut' })
  // In the middle of the head, behind which a tensor is still to be copied.
  relay.reached.then(() => {
    truncateSync(model1(folder), 4 * MIB)
    relay.open()
  })
  const args = ['pull', 'acme/bert@tuned', '--base', 'base', '--json']
  const ended = await run(args, { ...env, STRONGROOM_URL: relay.url }, folder)
  t.equal(ended.code, 0, ended.stderr)
  const report = JSON.parse(ended.stdout) as Report
  t.ok(report.reused_bytes > 3 * MIB && report.reused_bytes < 4 * MIB)
  t.ok(readFileSync(model1(folder)).equals(tuned))
})

t.test('a base of another checkpoint, and one that does not exist', async (t) => {
  const folder = t.testdir({ 'model.safetensors': base })
  copyFileSync(model1(folder), join(folder, 'kept'))
  await server.put('beta/copy/1', base)
  const report = await pulled(t, folder, ['acme/bert@tuned', '--base', 'beta/copy@1'])
  t.ok(report.reused_bytes > 4 * MIB)
  renameSync(join(folder, 'kept'), model1(folder))
  const missing = await run(['pull', 'acme/bert@tuned', '--base', 'none'], env, folder)
  t.match(missing, { code: 1, stderr: /NOT_FOUND what=version/ })
  t.ok(readFileSync(model1(folder)).equals(base), 'nothing was touched')
  for (const args of [
    ['acme/bert@tuned', '--base-dir', '.'],
    ['acme/bert@tuned', '--base', '../x'],
    ['acme/bert@tuned', '--base', 'acme@1'],
  ])
    t.equal((await run(['pull', ...args], env, folder)).code, 2, args.join(' '))
})
