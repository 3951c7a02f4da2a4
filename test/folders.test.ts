import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findFolders, FoldersRefused, prepareFolders } from '../src/folders.ts'

t.test('folders are made where they are missing, for their owner alone', async (t) => {
  const root = t.testdir()
  const made = await prepareFolders(join(root, 'a/b/vault'), join(root, 'a/ledger'))
  t.same(made, { vault: join(root, 'a/b/vault'), ledger: join(root, 'a/ledger') })
  for (const folder of ['a', 'a/b', 'a/b/vault', 'a/ledger'])
    t.equal(statSync(join(root, folder)).mode & 0o777, 0o700)
  t.same(await prepareFolders(made.vault, made.ledger), made, 'and taken as they are the next time')
})

t.test('neither may lie in the other, nor be the other', async (t) => {
  const root = t.testdir()
  const at = (path: string): string => join(root, path)
  await t.rejects(prepareFolders(at('x'), at('x')), FoldersRefused)
  await t.rejects(prepareFolders(at('vault'), at('vault/ledger')), FoldersRefused)
  await t.rejects(prepareFolders(at('ledger/deep/vault'), at('ledger')), FoldersRefused)
  await t.resolves(prepareFolders(at('same'), at('same-but-longer')))
})

t.test('a link does not hide that one lies in the other', async (t) => {
  const root = t.testdir({ vault: { inner: {} } })
  symlinkSync(join(root, 'vault/inner'), join(root, 'ledger'))
  await t.rejects(prepareFolders(join(root, 'vault'), join(root, 'ledger')), FoldersRefused)
})

t.test('a folder that others may write is refused, with the command that mends it', async (t) => {
  for (const mode of [0o770, 0o702]) {
    const root = t.testdir()
    const vault = join(root, 'vault')
    mkdirSync(vault)
    chmodSync(vault, mode)
    await t.rejects(prepareFolders(vault, join(root, 'ledger')), { message: /chmod go-w/ })
  }
})

t.test('a file in a folder’s place is an error of the system', async (t) => {
  const root = t.testdir()
  writeFileSync(join(root, 'file'), '')
  await t.rejects(prepareFolders(join(root, 'file'), join(root, 'ledger')), { code: 'EEXIST' })
  await t.rejects(prepareFolders(join(root, 'file/vault'), join(root, 'ledger')), {
    code: 'ENOTDIR',
  })
})

t.test('where nothing is written, a snapshot is found by its folder or its own name', async (t) => {
  const root = t.testdir({ vault: {}, ledger: { 'strongroom.db': '', 'other.db': '' } })
  const at = (path: string): string => join(root, path)
  chmodSync(at('vault'), 0o500)
  chmodSync(at('ledger'), 0o755)
  for (const name of ['strongroom.db', 'other.db']) chmodSync(at(`ledger/${name}`), 0o644)
  const vault = at('vault')
  const found = { vault, snapshot: at('ledger/strongroom.db') }
  t.same(await findFolders(vault, at('ledger')), found)
  t.same(await findFolders(vault, found.snapshot), found)
  symlinkSync(at('ledger/other.db'), at('link.db'))
  t.same(await findFolders(vault, at('link.db')), { vault, snapshot: at('ledger/other.db') })
  await t.rejects(findFolders(at('none'), at('ledger')), FoldersRefused)
  await t.rejects(findFolders(vault, at('none')), { message: /strongroom backup/ })
  t.same(readdirSync(root).sort(), ['ledger', 'link.db', 'vault'])
})

t.test('a snapshot lies apart from the vault, and nobody else may write it', async (t) => {
  const root = t.testdir({ vault: { 'strongroom.db': '' }, ledger: { 'strongroom.db': '', v: {} } })
  const at = (path: string): string => join(root, path)
  for (const folder of ['vault', 'ledger', 'ledger/v']) chmodSync(at(folder), 0o700)
  chmodSync(at('ledger/strongroom.db'), 0o600)
  await t.resolves(findFolders(at('vault'), at('ledger')))
  await t.rejects(findFolders(at('vault'), at('vault')), { message: /inside the vault/ })
  await t.rejects(findFolders(at('vault'), at('vault/strongroom.db')), /inside the vault/)
  await t.rejects(findFolders(at('ledger/v'), at('ledger')), { message: /inside the ledger/ })
  for (const path of ['ledger/strongroom.db', 'ledger', 'vault']) {
    const { mode } = statSync(at(path))
    chmodSync(at(path), 0o720)
    await t.rejects(findFolders(at('vault'), at('ledger')), { message: /chmod go-w/ }, path)
    chmodSync(at(path), mode)
  }
})
