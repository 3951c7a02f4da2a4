import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openLocalVault, openVaultToRead } from '../../src/vault/local.ts'
import type { Vault } from '../../src/vault/vault.ts'
import { stagedIn } from './fixture.ts'

async function seal(vault: Vault, text: string): Promise<string> {
  const staged = await vault.stage()
  await staged.write(0, Buffer.from(text))
  await staged.seal()
  return staged.id
}

async function startVault(t: Test) {
  const root = t.testdir()
  const vault = await openLocalVault(root)
  const pathOf = (id: string): string => join(root, 'blobs', id.slice(0, 2), id)
  return { root, vault, pathOf }
}

async function listOf(vault: Vault): Promise<string[]> {
  const ids = []
  for await (const id of vault.list()) ids.push(id)
  return ids.sort()
}

const modeOf = (path: string): number => statSync(path).mode & 0o777

t.test('folders are for their owner alone, and a sealed blob is read-only', async (t) => {
  const { root, vault, pathOf } = await startVault(t)
  for (const folder of ['staging', 'blobs', 'blobs/00', 'blobs/ff', 'quarantine'])
    t.equal(modeOf(join(root, folder)), 0o700)
  const staged = await vault.stage()
  t.equal(modeOf(join(root, 'staging', staged.id)), 0o600)
  await staged.seal()
  t.equal(modeOf(pathOf(staged.id)), 0o444)
})

t.test('a blob is opened once it is sealed, not before; written in any order', async (t) => {
  const { root, vault, pathOf } = await startVault(t)
  const staged = await vault.stage()
  await staged.write(3, Buffer.from('def'))
  await staged.flush()
  await staged.write(0, Buffer.from('abc'))
  t.equal(await vault.open(staged.id), undefined)
  t.same(await listOf(vault), [])
  await staged.seal()
  const blob = await vault.open(staged.id)
  t.equal(blob?.sizeBytes, 6)
  await blob?.close()
  t.equal(readFileSync(pathOf(staged.id), 'utf8'), 'abcdef')
  t.same(await listOf(vault), [staged.id])
  t.same(await stagedIn(root), [])
})

t.test('what is discarded leaves nothing behind, sealed or not, twice or once', async (t) => {
  const { root, vault } = await startVault(t)
  for (const sealed of [false, true]) {
    const staged = await vault.stage()
    await staged.write(0, Buffer.from('x'))
    if (sealed) await staged.seal()
    await staged.discard()
    await staged.discard()
  }
  t.same(await stagedIn(root), [])
  t.same(await listOf(vault), [])
})

t.test('a seal that fails leaves no blob, and what it left can be discarded', async (t) => {
  const { root, vault } = await startVault(t)
  const staged = await vault.stage()
  const shelf = join(root, 'blobs', staged.id.slice(0, 2))
  rmSync(shelf, { recursive: true })
  await t.rejects(staged.seal(), { code: 'ENOENT' })
  mkdirSync(shelf)
  t.same(await listOf(vault), [])
  await staged.discard()
  t.same(await stagedIn(root), [])
})

t.test('links, folders and pipes in a blob’s place are not there', async (t) => {
  const { root, vault, pathOf } = await startVault(t)
  const id = await seal(vault, 'bytes')
  const path = pathOf(id)
  renameSync(path, join(root, 'moved'))
  t.equal(await vault.open(id), undefined)
  symlinkSync(join(root, 'moved'), path)
  t.equal(await vault.open(id), undefined)
  rmSync(path)
  mkdirSync(path)
  t.equal(await vault.open(id), undefined)
  rmSync(path, { recursive: true })
  execFileSync('mkfifo', [path])
  t.equal(await vault.open(id), undefined, 'and a pipe that nobody writes is not waited for')
})

t.test('an id that no vault gave leads nowhere, least of all out of the vault', async (t) => {
  const { root, vault } = await startVault(t)
  writeFileSync(join(root, 'outside'), 'x')
  for (const id of [
    '',
    '..',
    '../outside',
    'A'.repeat(32),
    '0'.repeat(31),
    `${'0'.repeat(32)}\n`,
  ]) {
    t.equal(await vault.open(id), undefined)
    await vault.remove(id)
    await vault.quarantine(id)
  }
  t.ok(existsSync(join(root, 'outside')))
})

t.test(
  'a quarantined blob is out of reach and kept; removing what is not there is no error',
  async (t) => {
    const { root, vault } = await startVault(t)
    const damaged = await seal(vault, 'damaged')
    const gone = await seal(vault, 'gone')
    await vault.quarantine(damaged)
    await vault.quarantine(damaged)
    await vault.remove(gone)
    await vault.remove(gone)
    t.equal(await vault.open(damaged), undefined)
    t.same(await listOf(vault), [])
    t.equal(readFileSync(join(root, 'quarantine', damaged), 'utf8'), 'damaged')
  },
)

t.test('the sweep empties staging, whatever lies in it, and nothing else', async (t) => {
  const { root, vault } = await startVault(t)
  const id = await seal(vault, 'kept')
  const unfinished = await vault.stage()
  t.teardown(unfinished.discard)
  mkdirSync(join(root, 'staging/folder'))
  symlinkSync(join(root, 'blobs'), join(root, 'staging/link'))
  t.equal(await vault.sweepStaging(), 3)
  t.same(await stagedIn(root), [])
  t.same(await listOf(vault), [id])
})

t.test('what others put among the blobs is no blob, and disturbs nobody', async (t) => {
  const { root, vault } = await startVault(t)
  const id = await seal(vault, 'x')
  writeFileSync(join(root, 'blobs/.DS_Store'), '')
  writeFileSync(join(root, 'blobs/00/notes.txt'), '')
  mkdirSync(join(root, 'blobs/lost+found'))
  t.same(await listOf(vault), [id])
})

t.test(
  'a vault has a name once it is given one, and keeps it when it is opened again',
  async (t) => {
    const { root, vault } = await startVault(t)
    t.equal(await vault.identity(), undefined)
    await vault.identify('first')
    await vault.identify('second')
    t.equal(await (await openLocalVault(root)).identity(), 'second')
    writeFileSync(join(root, 'empty'), '')
    renameSync(join(root, 'empty'), join(root, 'identity'))
    t.equal(await vault.identity(), undefined, 'a name that was never finished is none')
  },
)

t.test('a ping tells whether the vault can be written', async (t) => {
  const { root, vault } = await startVault(t)
  await vault.ping()
  t.ok((await vault.freeBytes()) > 0)
  if (process.getuid?.() === 0) {
    t.comment('root may write everywhere: only a missing folder is tried')
  } else {
    chmodSync(join(root, 'blobs'), 0o500)
    await t.rejects(vault.ping(), { code: 'EACCES' })
    chmodSync(join(root, 'blobs'), 0o700)
  }
  rmSync(join(root, 'staging'), { recursive: true })
  await t.rejects(vault.ping(), { code: 'ENOENT' })
})

t.test('a vault that is only read gives its blobs out, and changes nothing', async (t) => {
  const { root, vault, pathOf } = await startVault(t)
  const id = await seal(vault, 'abc')
  await vault.identify('the vault')
  const reading = openVaultToRead(root)
  t.same(await listOf(reading), [id])
  t.equal(await reading.identity(), 'the vault')
  const blob = await reading.open(id)
  t.equal(blob?.sizeBytes, 3)
  await blob?.close()
  await reading.quarantine(id)
  t.ok(existsSync(pathOf(id)), 'damaged bytes stay for the server that writes')
  await t.rejects(reading.stage(), /only read/)
  await t.rejects(reading.remove(id), /only read/)
  await t.rejects(reading.sweepStaging(), /only read/)
  await t.rejects(reading.identify('another'), /only read/)
  await reading.ping()
  rmSync(root, { recursive: true })
  await t.rejects(reading.ping(), { code: 'ENOENT' })
})
