import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GOOD } from '../../bench/fuzz-pickle/assembler.ts'
import { fileOf, run } from './fixture.ts'
import { sha256 } from './liar.ts'

t.test('files here are validated, and compared with what they were made of', async (t) => {
  const folder = t.testdir({
    'a.pt': GOOD,
    sub: { 'b.ckpt': GOOD, 'c.pth': GOOD },
    'd.safetensors': Buffer.from(fileOf(100)),
    'readme.md': 'text',
  })
  const made = await run(['migrate', 'a.pt', 'sub/b.ckpt', '--backup'], {}, folder)
  t.equal(made.code, 0, made.stderr)
  const whole = await run(['verify', '.', '--json'], {}, folder)
  t.equal(whole.code, 0, whole.stderr)
  t.match(JSON.parse(whole.stdout), {
    files: [
      {
        file: 'a.safetensors',
        valid: true,
        tensors: 1,
        sha256: sha256(readFileSync(join(folder, 'a.safetensors'))),
        source_sha256: sha256(GOOD),
        source: { file: 'a.pt.bak', is_same: true },
      },
      { file: 'd.safetensors', source_sha256: null, source: null },
      { file: 'sub/b.safetensors' },
    ],
    not_migrated: ['sub/c.pth'],
    valid: true,
  })

  writeFileSync(join(folder, 'a.pt.bak'), 'another file')
  writeFileSync(join(folder, 'd.safetensors'), fileOf(100).subarray(0, 90))
  const changed = await run(['verify', '--checkpoint-dir', '.'], {}, folder)
  t.equal(changed.code, 1, changed.stderr)
  t.match(
    changed.stdout,
    /^valid +a\.safetensors .* sha256 \w{64} +1 tensor +a\.pt\.bak is not its/,
  )
  t.match(changed.stdout, /\nNOT VALID {2}d\.safetensors /)
  t.match(changed.stdout, /\nvalid +sub\/b\.safetensors .*made of sub\/b\.ckpt\.bak\n/)
  t.match(changed.stdout, /\nnot migrated {2}sub\/c\.pth\n3 files, 1 not valid, 1 not migrated\n$/)

  t.match(await run(['verify', 'sub/c.pth'], {}, folder), { code: 1, stdout: /^NOT VALID/ })
  for (const args of [['.', '--all'], ['missing'], ['--checkpoint-dir', 'missing']])
    t.match(await run(['verify', ...args], {}, folder), { code: 2, stdout: '' }, args.join(' '))
})

t.test('what has an @ is a version, whatever lies here', async (t) => {
  const folder = t.testdir({ acme: { 'bert@1': Buffer.from(fileOf(10)) } })
  const asked = await run(['verify', 'acme/bert@1', '--url', 'http://127.0.0.1:1'], {}, folder)
  t.equal(asked.code, 3)
})
