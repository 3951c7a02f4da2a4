import t from 'tap'
import { commitOf, refOf } from '../../src/hub/revision.ts'

t.test('a revision of the Hub is a ref of ours, or none', (t) => {
  for (const [revision, ref] of [
    ['main', 'latest'],
    ['HEAD', 'latest'],
    ['refs/heads/main', 'latest'],
    ['refs/heads/stable', 'stable'],
    ['refs/tags/1.0', '1.0'],
    ['1.0+cu12', '1.0+cu12'],
    ['Main', 'Main'],
    ['refs', 'refs'],
    ['refs/pr/1', undefined],
    ['refs/heads/feat/x', undefined],
    ['refs/heads/', undefined],
    ['feat/x', undefined],
    ['a\n/b', undefined],
  ] as const)
    t.equal(refOf(revision), ref, revision)
  t.end()
})

t.test('a commit is as long as git’s', (t) => {
  t.equal(commitOf('0123456789abcdef'.repeat(4)), '0123456789abcdef0123456789abcdef01234567')
  t.end()
})
