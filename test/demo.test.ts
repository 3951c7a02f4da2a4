import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

t.test('the demonstration shows both attacks, and that they fail', async (t) => {
  const demo = join(import.meta.dirname, '../demo/attack.ts')
  const { status, stdout, stderr } = spawnSync(process.execPath, [demo], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.notMatch(stdout, /✗/)
  for (const said of [
    /INVALID_SAFETENSORS .* it looks like torch_zip/,
    /verdict dangerous: malicious\/data\.pkl calls os\.system\("echo 'PWNED!/,
    /MIGRATION_REFUSED .* calls os\.system at byte \d+ \(REDUCE\)\. Nothing was executed\./,
    /✓ the command was never run/,
    /INTEGRITY_FAILURE/,
    /Both attacks failed\.$/m,
  ])
    t.match(stdout, said)
  const [, pwned = ''] = /> (\/\S+pwned\.txt)/.exec(stdout) ?? []
  t.not(pwned, '')
  t.notOk(existsSync(pwned))
})
