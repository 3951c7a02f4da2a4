import {
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openOriginal, retire } from '../../../src/cli/migrate/original.ts'
import { LocalError } from '../../../src/client/local-failure.ts'

t.test('a source that is not what it was when it was opened stays', async (t) => {
  const changes: Readonly<Record<string, (path: string) => void>> = {
    'written to': (path) => {
      const { atimeMs, mtimeMs } = statSync(path)
      writeFileSync(path, 'WEIGHTS')
      utimesSync(path, atimeMs / 1000, mtimeMs / 1000 + 1)
    },
    longer: (path) => {
      writeFileSync(path, 'weights and more')
    },
    'another file': (path) => {
      writeFileSync(`${path}.new`, 'weights')
      const { atime, mtime } = statSync(path)
      utimesSync(`${path}.new`, atime, mtime)
      renameSync(`${path}.new`, path)
    },
  }
  for (const how of ['back_up', 'delete'] as const)
    for (const [what, change] of Object.entries(changes)) {
      const path = join(t.testdir({ 'a.pt': 'weights' }), 'a.pt')
      const original = await openOriginal(path)
      change(path)
      await t.rejects(retire(original, how), LocalError, `${what}: ${how}`)
      await original.file.close()
      t.strictSame(readdirSync(join(path, '..')), ['a.pt'])
    }
})

t.test('a backup takes no other file’s name, and a link is renamed as one', async (t) => {
  const folder = t.testdir({
    'a.pt': t.fixture('symlink', 'weights'),
    weights: 'weights',
    'b.pt': 'weights',
    'b.pt.bak': t.fixture('symlink', 'nowhere'),
  })
  const link = await openOriginal(join(folder, 'a.pt'))
  t.equal(link.isLink, true)
  await retire(link, 'back_up')
  await link.file.close()
  t.ok(lstatSync(join(folder, 'a.pt.bak')).isSymbolicLink())
  const taken = await openOriginal(join(folder, 'b.pt'))
  await t.rejects(retire(taken, 'back_up'), LocalError)
  await taken.file.close()
  t.strictSame(readdirSync(folder).sort(), ['a.pt.bak', 'b.pt', 'b.pt.bak', 'weights'])
  t.equal(readFileSync(join(folder, 'b.pt'), 'utf8'), 'weights')
})

t.test('what is no file is not waited for', async (t) => {
  await t.rejects(openOriginal(t.testdir()), LocalError)
  await t.rejects(openOriginal('/dev/null'), LocalError)
})
