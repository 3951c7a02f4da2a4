import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import t from 'tap'
import { LocalError } from '../../src/client/local-failure.ts'
import { targetAt } from '../../src/client/new-file.ts'
import { makeFolders } from '../../src/client/new-folder.ts'
import { targetBelow } from '../../src/client/part-file.ts'
import { DEFAULT_PATH } from '../../src/registry/names.ts'

t.test('folders are made with those above them, and said once', async (t) => {
  const folder = t.testdir({ link: t.fixture('symlink', '.') })
  const [above, below] = [join(folder, 'link/new'), join(folder, 'link/new/deep')]
  t.strictSame(await makeFolders(below), [below, above])
  t.strictSame(await makeFolders(below), [])
  t.strictSame(await makeFolders(`${below}/..//`), [])
  t.strictSame(readdirSync(join(folder, 'new')), ['deep'])
})

t.test('where no folder can be made, that is said, and none is left', async (t) => {
  const folder = t.testdir({ file: 'a file', nowhere: t.fixture('symlink', 'missing') })
  const long = 'x'.repeat(300)
  for (const path of ['file', 'file/new', 'nowhere', 'nowhere/new', `new/deep/${long}`])
    await t.rejects(makeFolders(join(folder, path)), LocalError, path.slice(0, 20))
  t.strictSame(readdirSync(folder), ['file', 'nowhere'])
})

t.test('a file system that has no room for folders is no endless loop', async (t) => {
  if (process.platform !== 'linux') {
    t.comment('NOT TRIED: there is no /proc')
    return
  }
  const told = { name: 'LocalError', message: '/proc/x: no folder can be made there.' }
  await t.rejects(makeFolders('/proc/x/y'), told)
  await t.rejects(targetBelow('/proc/x', DEFAULT_PATH), told)
  await t.rejects(targetAt('/proc/x/', 'name'), LocalError)
})
