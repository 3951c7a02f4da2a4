// The attack that Strongroom was made against, from its attacker's side: `npm run demo:attack`. It needs nothing but this
// package, works in a folder of its own that goes with it, and fails if anything is not as it says.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { writeSafetensors } from '../src/safetensors/write.ts'
import { maliciousCheckpoint } from './malicious-checkpoint.ts'

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

const say = (text = ''): void => {
  process.stdout.write(`${text}\n`)
}

function check(isSo: boolean, what: string): void {
  say(`   ${isSo ? '✓' : '✗'} ${what}`)
  if (!isSo) process.exitCode = 1
}

async function startServer(folder: string, token: string) {
  const bin = join(import.meta.dirname, '../bin/strongroom.js')
  const server = spawn(process.execPath, [bin, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      STRONGROOM_PORT: '0',
      STRONGROOM_VAULT: join(folder, 'vault'),
      STRONGROOM_LEDGER: join(folder, 'ledger'),
      STRONGROOM_ADMIN_TOKEN: token,
      STRONGROOM_DETECTOR: '',
      STRONGROOM_DISK_FLOOR_BYTES: '0',
    },
  })
  const ended = once(server, 'exit')
  for await (const line of createInterface({ input: server.stdout })) {
    const { msg, url } = JSON.parse(line) as { msg: string; url?: string }
    if (msg !== 'listening' || url === undefined) continue
    server.stdout.resume()
    return {
      ask: async (
        method: string,
        path: string,
        body?: Uint8Array<ArrayBuffer>,
      ): Promise<Answer> => {
        const headers = { authorization: `Bearer ${token}` }
        const answer = await fetch(url + path, { method, headers, ...(body && { body }) })
        const isJson = answer.headers.get('content-type')?.includes('json') === true
        const content = isJson ? await answer.json() : { bytes: await answer.arrayBuffer() }
        return { status: answer.status, body: content as Answer['body'] }
      },
      stop: async () => {
        server.kill()
        await ended
      },
    }
  }
  throw new Error('the registry did not start')
}

type Ask = Awaited<ReturnType<typeof startServer>>['ask']

function told({ status, body: { code, detail } }: Answer): string {
  return typeof code === 'string' ? `${status} · ${code} · ${String(detail)}` : String(status)
}

async function attackByPickle(ask: Ask, folder: string): Promise<void> {
  const pwned = join(folder, 'pwned.txt')
  const command = `echo 'PWNED! Malicious code executed' > ${pwned}`
  const checkpoint = Buffer.from(maliciousCheckpoint(command))
  const file = join(folder, 'sae_pii_layer12.pt')
  writeFileSync(file, checkpoint)
  say('1. A poisoned checkpoint: loading it with torch.load would run')
  say(`   $ ${command}`)

  say('\n2. It is published as if it were weights.')
  const published = await ask('PUT', '/v1/checkpoints/genesis/sae/1.0', checkpoint)
  say(`   → ${told(published)}`)
  const isNamed = published.body['looks_like'] === 'torch_zip'
  check(published.status === 422 && isNamed, 'refused from its first bytes, as the pickle it is')

  say('\n3. It is scanned.')
  const scanned = await ask('POST', '/v1/scan', checkpoint)
  const [finding] = scanned.body['findings'] as [Record<string, unknown>?]
  say(`   → verdict ${String(scanned.body['verdict'])}: ${String(finding?.['entry'])} calls ${String(finding?.['global'])}${String(finding?.['args_preview'])}`) // prettier-ignore
  check(scanned.body['verdict'] === 'dangerous', 'named for what it is')

  say('\n4. It is migrated to safetensors.')
  const migrated = await ask('POST', '/v1/migrate/genesis/sae/1.0', checkpoint)
  say(`   → ${told(migrated)}`)
  const isTold = /calls os\.system at byte \d+/.test(String(migrated.body['detail']))
  check(migrated.body['code'] === 'MIGRATION_REFUSED' && isTold, 'refused, and the call is named')
  check(!existsSync(pwned), 'the command was never run')
  const looked = await ask('GET', '/v1/checkpoints/genesis/sae')
  check(looked.status === 404, 'nothing of it is in the registry')
}

async function attackByBit(ask: Ask, folder: string): Promise<void> {
  const bytes = Buffer.from(Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i)).buffer)
  const weights = writeSafetensors([{ name: 'encoder', dtype: 'F32', shape: [4096], bytes }])
  const version = '/v1/checkpoints/genesis/sae/2.0'
  say('\n5. Honest weights are published, and an attacker who has the disk flips one bit of them.')
  const published = await ask('PUT', version, weights)
  check(published.status === 201, `published, ${weights.length} bytes`)
  const [blob = ''] = globSync(join(folder, 'vault/blobs/*/*'))
  const stored = readFileSync(blob)
  stored[stored.length - 1] = (stored.at(-1) ?? 0) ^ 1
  chmodSync(blob, 0o644)
  writeFileSync(blob, stored)

  say('\n6. An agent downloads them.')
  const path = `${version}/files/model.safetensors`
  const got = await ask('GET', path)
  say(`   → ${told(got)}`)
  check(
    got.body['code'] === 'INTEGRITY_FAILURE',
    'not served: the ledger remembers another SHA-256',
  )

  say('\n7. The same weights are published again.')
  const repaired = await ask('PUT', version, weights)
  const again = await ask('GET', path)
  const isWhole = Buffer.from((again.body['bytes'] ?? []) as ArrayBuffer).equals(weights)
  check(repaired.status === 200 && isWhole, 'repaired: served again, bit for bit')
}

const folder = mkdtempSync(join(tmpdir(), 'strongroom-demo-'))
const server = await startServer(folder, `sr_${randomBytes(24).toString('base64url')}`)
try {
  await attackByPickle(server.ask, folder)
  await attackByBit(server.ask, folder)
  say(process.exitCode === 1 ? '\nNot all is as it should be.' : '\nBoth attacks failed.')
} finally {
  await server.stop()
  rmSync(folder, { recursive: true })
}
