import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { validate } from '../../src/safetensors/stream.ts'
import { call, checkpoint, dict, GOOD, tensor, text } from '../../bench/fuzz-pickle/assembler.ts'
import { fileOf, run } from './fixture.ts'
import { sha256 } from './liar.ts'
import { document, names } from './migrating.ts'

const HOSTILE = checkpoint(
  dict({ weight: tensor(), extra: call('os', 'system', text('touch /tmp/pwned')) }),
)
/** Of the tensors that the others have, with one bit another; it says that it is of `source`. */
function forged(made: Uint8Array): Buffer {
  const bytes = Buffer.from(made)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  validate(bytes)
  return bytes
}

t.test('a folder is migrated file by file, and a failure does not stop the rest', async (t) => {
  const folder = t.testdir({
    'a\u001b[2J.bin': HOSTILE,
    'b.pt': GOOD,
    sub: { 'readme.txt': 'text', 'linked.PTH': t.fixture('symlink', '../b.pt') },
    'linked-folder': t.fixture('symlink', '.cache'),
    '.cache': { 'hidden.pt': GOOD },
    empty: { 'readme.md': 'text' },
  })
  const before = names(folder)
  t.match(await run(['migrate', 'empty', '.cache', '--dry-run'], {}, folder), {
    code: 0,
    stderr: 'no .pt, .pth, .bin or .ckpt file in empty\n',
  })
  const dry = await run(['migrate', '.', '--dry-run', '--json'], {}, folder)
  t.equal(dry.code, 1, dry.stderr)
  t.match(document(dry.stdout).totals, { migrated: 0, would_migrate: 2, failed: 1 })
  t.strictSame(names(folder), before)

  const first = await run(['migrate', '--checkpoint-dir', '.'], {}, folder)
  t.equal(first.code, 1, first.stderr)
  t.match(first.stdout, /^FILE +OUTCOME +FORMAT +TENSORS +SIZE +NEW FILE\n/)
  t.match(
    first.stdout,
    /refused: .*data\.pkl calls os\.system at byte \d+ \(REDUCE\)\. Nothing was/,
  )
  t.match(first.stdout, /\nb\.pt +migrated +torch_zip +1 +\d+ B +b\.safetensors\n/)
  t.match(first.stdout, /\n3 files: 2 migrated, 1 failed\n$/)
  t.notMatch(first.stdout, '\u001b')
  const made = ['b.safetensors', 'sub/linked.safetensors']
  t.strictSame(names(folder), [...before, ...made].sort(), 'and nothing else is there')
  const [bytes, same] = made.map((name) => readFileSync(join(folder, name)))
  t.strictSame(bytes, same)

  const second = await run(['migrate', '.', '--json'], {}, folder)
  t.equal(second.code, 1)
  const { files, totals } = document(second.stdout)
  t.strictSame(totals, { files: 3, migrated: 0, already: 2, would_migrate: 0, failed: 1 })
  t.match(files[0]?.['findings'], [
    { entry: /data\.pkl$/, global: 'os.system', via: 'REDUCE', invoked: true },
  ])
  t.match(files[1], {
    source: 'b.pt',
    source_sha256: sha256(GOOD),
    outcome: 'already',
    target: 'b.safetensors',
    sha256: sha256(bytes ?? GOOD),
    original: 'kept',
    error: null,
  })
})

t.test('what is in the way stays, and its source too', async (t) => {
  const folder = t.testdir({
    'a.pt': GOOD,
    'a.safetensors': 'something else',
    'b.pt': GOOD,
    'b.pt.bak': 'an older one',
    'c.bin': GOOD,
    'c.pt': GOOD,
    'd.pt': GOOD,
    'd.safetensors': t.fixture('symlink', 'nowhere'),
  })
  const ended = await run(['migrate', '.', '--backup', '--delete-originals', '--json'], {}, folder)
  t.equal(ended.code, 1)
  t.match(document(ended.stdout).files, [
    { outcome: 'failed', error: /a\.safetensors: it exists and is not valid safetensors/ },
    { outcome: 'failed', target: 'b.safetensors', error: /b\.pt\.bak: there is something/ },
    { outcome: 'migrated', original: 'backed_up' },
    { outcome: 'failed', error: /is c\.bin’s already; give it a folder of its own with -o/ },
    { outcome: 'failed', error: /d\.safetensors: there is no such file/ },
  ])
  const there = ['a.pt', 'a.safetensors', 'b.pt', 'b.pt.bak', 'b.safetensors', 'c.bin.bak']
  t.strictSame(names(folder), [...there, 'c.pt', 'c.safetensors', 'd.pt', 'd.safetensors'])
  t.equal(readFileSync(join(folder, 'a.safetensors'), 'utf8'), 'something else')
  t.equal(readFileSync(join(folder, 'b.pt.bak'), 'utf8'), 'an older one')
})

t.test('a source goes only once its new file is what it should be', async (t) => {
  const folder = t.testdir({
    'a.pt': GOOD,
    'b.pt': GOOD,
    'c.pt': GOOD,
    'd.pt': Buffer.from(fileOf(100)),
    'd.safetensors': t.fixture('symlink', 'd.pt'),
  })
  chmodSync(join(folder, 'b.pt'), 0o600)
  const made = await run(['migrate', 'a.pt', 'b.pt'], {}, folder)
  t.equal(made.code, 0, made.stderr)
  const b = join(folder, 'b.safetensors')
  t.equal(statSync(b).mode & 0o777, 0o600, 'only those read it who read its source')
  writeFileSync(b, forged(readFileSync(b)))

  const ended = await run(['migrate', '.', '--delete-originals', '--json'], {}, folder)
  t.equal(ended.code, 1)
  t.match(document(ended.stdout).files, [
    { outcome: 'already', original: 'deleted', tensors: 1, error: null },
    { outcome: 'failed', original: 'kept', error: /it is not what these options make/ },
    { outcome: 'migrated', original: 'deleted', error: null },
    { outcome: 'failed', original: 'kept', error: /it is a link, perhaps to the source/ },
  ])
  const there = ['a.safetensors', 'b.pt', 'b.safetensors', 'c.safetensors', 'd.pt', 'd.safetensors']
  t.strictSame(names(folder), there)
  t.match(await run(['migrate', 'c.safetensors', '--delete-originals'], {}, folder), {
    code: 0,
    stdout: /c\.safetensors +already[^]*there is nothing to migrate/,
  })
  t.strictSame(names(folder), there)
})
