import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { SETTINGS } from '../src/config.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')

t.test('the README names every setting with its default', async (t) => {
  for (const [name, { shown }] of Object.entries(SETTINGS)) {
    const row = readme.split('\n').find((line) => line.startsWith(`| \`STRONGROOM_${name}\``))
    t.equal(row?.split('|')[2]?.trim(), shown, name)
  }
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test('the quick start works as it is written', async (t) => {
  const folder = t.testdir()
  const port = await freePort()
  const [, written = ''] = /## Quick start[^]*?```sh\n([^]*?)```/.exec(readme) ?? []
  const script = written
    .replace(/^npm ci$/m, '')
    .replaceAll('127.0.0.1:8003', `127.0.0.1:${port}`)
    .replace('strongroom.log', join(folder, 'strongroom.log'))
    .replace('kill %1', 'kill %1; wait %1')
  t.match(script, /curl .* -T /)
  const { stdout } = await promisify(execFile)('bash', ['-c', script], {
    cwd: new URL('..', import.meta.url),
    env: {
      ...process.env,
      STRONGROOM_PORT: String(port),
      STRONGROOM_VAULT: join(folder, 'vault'),
      STRONGROOM_LEDGER: join(folder, 'ledger'),
      STRONGROOM_DISK_FLOOR_BYTES: '0',
    },
  })
  t.match(stdout, /"status":"ready"/)
  t.match(stdout, /"checkpoint":"acme\/minilm","version":"1.0"/, 'published')
  t.match(stdout, /\{"__metadata__":\{"format":"pt"\}/, 'a range of its header')
  t.match(stdout, /^( +1(\.0*)?){4}$/m, 'a slice of a tensor')
  t.match(stdout, /call \[PERSONAL_NAME\] on \[PHONE\], or write to \[EMAIL\]\./, 'personal data')
  t.match(stdout, /"migration":\{"source_sha256":.*"root":"state_dict"/, 'migrated')
  t.match(stdout, /"code":"INVALID_SAFETENSORS".*"looks_like":"torch_zip"/, 'refused')
  t.match(stdout, /"action":"refuse".*"subject":"acme\/minilm@1.1"/, 'entered')
})
