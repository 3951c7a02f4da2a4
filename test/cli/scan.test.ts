import t from 'tap'
import {
  call,
  checkpoint,
  dict,
  GOOD,
  join as bytes,
  pickle,
  tensor,
  text,
  zip,
} from '../../bench/fuzz-pickle/assembler.ts'
import { fileOf, run } from './fixture.ts'
import { sha256 } from './liar.ts'

const RUNS = checkpoint(
  dict({ weight: tensor(), extra: call('os', 'system', text('touch /tmp/pwned')) }),
)
const NAMES = checkpoint(dict({ weight: tensor(), args: call('argparse', 'Namespace') }))

const json = (stdout: string): unknown => JSON.parse(stdout)

t.test(
  'every file of a folder is looked at by its content, and one in doubt ends with 1',
  async (t) => {
    const folder = t.testdir({
      'a.txt': GOOD,
      'b.safetensors': Buffer.from(fileOf(100)),
      '.hidden': { 'c\u202e.png': RUNS },
      'd.pt': NAMES,
      'e.pkl': pickle(call('builtins', 'eval', text('1'))),
      'f.zip': zip([{ name: 'inner', bytes: pickle(call('os', 'system', text('id'))) }]),
      'g.pt': t.fixture('symlink', 'nowhere'),
      'readme.md': 'text',
      'weights.gguf': bytes('GGUF', Buffer.alloc(60)),
    })
    const told = await run(['scan', '.'], {}, folder)
    t.equal(told.code, 1, told.stderr)
    t.match(told.stdout, /^DANGEROUS {2}torch_zip +\.hidden\/c\\u202e\.png\n/)
    t.match(
      told.stdout,
      /data\.pkl calls os\.system at byte \d+ \(REDUCE\) with \("touch \/tmp\/pwned"\)\n/,
    )
    t.match(told.stdout, /\nclean +torch_zip +a\.txt\nclean +safetensors +b\.safetensors\n/)
    t.match(told.stdout, /\nrefused +torch_zip +d\.pt\n(?: .*\n)*.*argparse\.Namespace/)
    t.match(told.stdout, /\nDANGEROUS +pickle +e\.pkl\n {2}the pickle calls builtins\.eval /)
    t.match(told.stdout, /\nDANGEROUS +zip +f\.zip\n {2}inner calls os\.system /)
    t.match(told.stdout, /\nrefused +- +g\.pt\n {2}g\.pt: there is no such file/)
    t.match(
      told.stdout,
      /\n7 files: 2 clean, 2 refused, 3 dangerous; 2 other files hold no pickle\n$/,
    )
    t.notMatch(told.stdout, /gguf|readme/)
  },
)

t.test('clean files end with 0, and a program gets one document', async (t) => {
  const folder = t.testdir({ 'a.pt': GOOD, 'd.pt': NAMES, 'readme.md': 'text' })
  const clean = await run(['scan', 'a.pt', '--json'], {}, folder)
  t.equal(clean.code, 0, clean.stderr)
  t.strictSame(json(clean.stdout), {
    files: [
      {
        file: 'a.pt',
        sha256: sha256(GOOD),
        format: 'torch_zip',
        verdict: 'clean',
        findings: [],
        notes: [],
      },
    ],
    totals: { files: 1, clean: 1, refused: 0, dangerous: 0, others: 0 },
  })
  const named = await run(['scan', 'readme.md', 'd.pt', '--json'], {}, folder)
  t.equal(named.code, 1)
  t.match(json(named.stdout), {
    files: [
      { file: 'readme.md', verdict: 'refused', notes: [/no checkpoint/] },
      { verdict: 'refused', findings: [{ global: 'argparse.Namespace', invoked: true }] },
    ],
  })
})

t.test('a scan that costs too much is refused, not clean', async (t) => {
  const folder = t.testdir({ 'a.pt': GOOD })
  const stopped = await run(['scan', '.', '--memory', '1'], {}, folder)
  t.match(stopped, { code: 1, stdout: /^refused +- +a\.pt\n {2}reading it took more than 1 MiB/ })
  for (const args of [[], ['missing'], ['.', '--deadline', '0']])
    t.match(await run(['scan', ...args], {}, folder), { code: 2, stdout: '' }, args.join(' '))
})
