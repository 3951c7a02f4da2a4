import { once } from 'node:events'
import { chmodSync, watch } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import t from 'tap'
import { call, checkpoint, dict, GOOD, int, tensor } from '../../bench/fuzz-pickle/assembler.ts'
import { run, start } from './fixture.ts'
import { document, names } from './migrating.ts'

const TRAINER = checkpoint(
  dict({
    model: dict({ a: tensor(), b: tensor() }),
    ema: dict({ a: tensor(), b: tensor() }),
    epoch: int(3),
    args: call('argparse', 'Namespace'),
  }),
)
const CLASSIFIER = checkpoint(
  dict({ weight: tensor(), model: call('sklearn.linear_model._logistic', 'LogisticRegression') }),
)

t.test(
  'options say where the weights are, how they are tied, and what may be left out',
  async (t) => {
    const folder = t.testdir({ 'trainer.pt': TRAINER, 'classifier.pt': CLASSIFIER })
    const plain = await run(['migrate', '.', '-o', 'new'], {}, folder)
    t.equal(plain.code, 1)
    t.match(
      plain.stdout,
      /argparse\.Namespace at \S+ under "args"; rerun with --opaque to leave it out/,
    )
    t.match(plain.stdout, /calls sklearn\.[^]*training\/export_classifiers\.py/)
    t.strictSame(names(folder), ['classifier.pt', 'trainer.pt'], 'no folder was made for nothing')

    const args = ['migrate', 'trainer.pt', '--opaque', '--json']
    const model = await run([...args, '-o', 'new/deep'], {}, folder)
    t.equal(model.code, 0, model.stderr)
    t.match(document(model.stdout).files, [
      {
        target: 'new/deep/trainer.safetensors',
        root: 'model',
        tensors: 1,
        tied: { b: 'a' },
        dropped: ['ema', 'args'],
        opaque: ['argparse.Namespace'],
      },
    ])
    const ema = await run(
      [...args, '-o', 'ema', '--root', 'ema', '--tied', 'duplicate'],
      {},
      folder,
    )
    t.match(document(ema.stdout).files, [
      { tensors: 2, tied: {}, root: 'ema', dropped: ['model', 'args'] },
    ])
  },
)

t.test(
  'what an earlier run made of other options is not taken for what is asked for',
  async (t) => {
    const models = dict({
      model: dict({ a: tensor(), b: tensor() }),
      ema: dict({ c: tensor() }),
    })
    const folder = t.testdir({ 'a.pt': checkpoint(models) })
    const again = (...args: readonly string[]): ReturnType<typeof run> =>
      run(['migrate', 'a.pt', ...args], {}, folder)
    t.match(await again(), { code: 0, stdout: /migrated/ })
    for (const args of [['--tied', 'keep'], ['--opaque']])
      t.match(await again(...args), { code: 0, stdout: /already/ }, args.join(' '))
    const other = /a\.safetensors: it is not what these options make of the source; move it away/
    for (const args of [
      ['--root', 'ema'],
      ['--tied', 'duplicate'],
      ['--root', ''],
    ])
      t.match(await again(...args), { code: 1, stdout: other }, args.join(' '))
    const missing = await again('--root', 'optimizer', '--dry-run')
    t.match(missing, { code: 1, stdout: /refused: .*optimizer/ })
    t.strictSame(names(folder), ['a.pt', 'a.safetensors'])
  },
)

t.test(
  'a file that costs too much, and a folder that takes none, fail and leave nothing',
  async (t) => {
    const folder = t.testdir({ 'a.pt': GOOD, full: { 'b.pt': GOOD } })
    const stopped = await run(['migrate', 'a.pt', '-o', 'new', '--memory', '1'], {}, folder)
    t.match(stopped, { code: 1, stdout: /refused: reading it took more than 1 MiB of memory/ })
    const within = await run(['migrate', 'a.pt', '-o', 'full/b.pt/new'], {}, folder)
    t.match(within, { code: 1, stdout: /a part of its path is not a folder/ })
    // A file system of the kernel's own makes no folders.
    if (process.platform === 'linux')
      t.match(await run(['migrate', 'a.pt', '-o', '/proc/x'], {}, folder), {
        code: 1,
        stdout: /\/proc\/x: no folder can be made there/,
      })
    t.strictSame(names(folder), ['a.pt', 'full', 'full/b.pt'])
    if (process.getuid?.() === 0) {
      t.comment('NOT TRIED: root may write anything')
      return
    }
    chmodSync(join(folder, 'full'), 0o500)
    t.teardown(() => {
      chmodSync(join(folder, 'full'), 0o700)
    })
    for (const option of ['--delete-originals', '--dry-run'])
      t.match(await run(['migrate', 'full', option], {}, folder), { code: 1, stdout: /denied/ })
    t.strictSame(names(folder), ['a.pt', 'full', 'full/b.pt'])
  },
)

t.test('interrupted, it leaves nothing half-made, and its source', async (t) => {
  const count = 16 * 1024 * 1024
  const large = dict({ weight: tensor({ count, shape: [count], strides: [1] }) })
  const folder = t.testdir({ 'a.pt': checkpoint(large, { 0: Buffer.alloc(count * 4, 1) }), b: {} })
  const watcher = watch(join(folder, 'b'))
  const begun = once(watcher, 'change')
  const running = start(['migrate', '.', '-o', 'b', '--delete-originals'], {}, folder)
  await begun
  watcher.close()
  running.kill('SIGINT')
  t.match(await running.ended, { code: 1, signal: null, stdout: /given up after SIGINT/ })
  t.strictSame(names(folder), ['a.pt', 'b'])
})

t.test('wrong use ends with 2 before anything is done', async (t) => {
  const folder = t.testdir({ 'a.pt': GOOD, 'b.pt': GOOD })
  for (const args of [
    [],
    ['a.pt', 'missing.pt'],
    ['a.pt', 'b.pt', '--push', 'acme/bert@1'],
    ['a.pt', '--memory', '0'],
  ])
    t.match(await run(['migrate', ...args], {}, folder), { code: 2, stdout: '' }, args.join(' '))
  t.strictSame(names(folder), ['a.pt', 'b.pt'])
})
