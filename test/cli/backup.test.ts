import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { smallFile } from '../routes/wire.ts'
import { run } from './fixture.ts'

const BIN = join(import.meta.dirname, '../../bin/strongroom.js')

// One server for all, with one version, and what a command beside it is told of its folders.
const server = await startServer(t)
await server.put('acme/bert/1', smallFile())
const env = {
  STRONGROOM_VAULT: join(server.folder, 'data/vault'),
  STRONGROOM_LEDGER: join(server.folder, 'data/ledger'),
}
const copies = join(server.folder, 'copies')
const copy = join(copies, 'strongroom.db')
mkdirSync(copies)

t.test('backup says what it copied, to a person and to a program', async (t) => {
  const { seq, hash } = await server.strongroom.ledger.auditHead()
  const told = await run(['backup', copy], env)
  t.match(told, { code: 0, stderr: '' })
  t.match(
    told.stdout,
    /^\S+strongroom\.db: 1 version, [\d.]+ KiB\n {2}audit head \d+ [0-9a-f]{64}\n$/,
  )
  const { code, stdout } = await run(
    ['backup', copy, '--json', '--ledger', env.STRONGROOM_LEDGER],
    { STRONGROOM_VAULT: env.STRONGROOM_VAULT },
  )
  t.equal(code, 0)
  t.strictSame(JSON.parse(stdout), {
    file: copy,
    size: statSync(copy).size,
    versions: 1,
    head: { seq, hash, mac: null },
  })
  t.same(readdirSync(copies), ['strongroom.db'])
  t.equal((await server.put('acme/bert/2', smallFile(2))).status, 201, 'the server goes on')
})

t.test('a backup goes neither into the ledger nor into the vault', async (t) => {
  symlinkSync(join(server.folder, 'data/vault/blobs'), join(server.folder, 'link'))
  const within = {
    'data/ledger/copy.db': /inside the ledger/,
    'data/ledger/strongroom.db': /inside the ledger/,
    'data/vault/copy.db': /inside the vault/,
    'link/00/copy.db': /inside the vault/,
  }
  const tries = Object.entries(within).map(async ([path, why]) => {
    const told = await run(['backup', join(server.folder, path)], env)
    t.match(told, { code: 2, stderr: why, stdout: /^$/ }, path)
  })
  await Promise.all(tries)
  t.match((await server.request('/v1/audit/verify')).status, 200)
})

t.test('a backup that can’t be made says why, and how it ends', async (t) => {
  const text = join(server.folder, 'text')
  writeFileSync(text, 'mine')
  const key = join(server.folder, 'key')
  writeFileSync(key, 'k'.repeat(32))
  const cases: readonly (readonly [number, RegExp, readonly string[], Record<string, string>])[] = [
    [1, /is no snapshot.*\[LEDGER_REFUSED\]/, ['backup', text], env],
    [2, /no such file or folder/, ['backup', join(server.folder, 'none/x.db')], env],
    [2, /no such file or folder/, ['backup', copy, '--ledger', '/none'], env],
    [1, /There is no ledger in/, ['backup', copy, '--ledger', join(server.folder, 'data')], {}],
    [2, /missing required argument/, ['backup'], env],
    [1, /not authenticated/, ['backup', copy], { ...env, STRONGROOM_AUDIT_KEY_FILE: key }],
    [
      2,
      /STRONGROOM_AUDIT_KEY_FILE/,
      ['backup', copy],
      { ...env, STRONGROOM_AUDIT_KEY_FILE: '/no' },
    ],
  ]
  const before = readFileSync(copy)
  const tries = cases.map(async ([code, why, args, given]) => {
    const told = await run(args, given)
    t.match(told, { code, stderr: why }, String(why))
    t.match(told.stderr, /^strongroom: [^\n]+\n$/)
  })
  await Promise.all(tries)
  t.equal(readFileSync(text, 'utf8'), 'mine')
  t.ok(readFileSync(copy).equals(before), 'the older one is as it was')
  t.same(readdirSync(copies), ['strongroom.db'])
})

t.test('a full disk leaves the older backup, and no half of a newer one', async (t) => {
  const disk = join(server.folder, 'disk')
  mkdirSync(disk)
  const onSmallDisk = (script: string) =>
    spawnSync(
      'unshare',
      [
        '--user',
        '--map-root-user',
        '--mount',
        'sh',
        '-ec',
        script,
        'sh',
        disk,
        process.execPath,
        BIN,
      ],
      { encoding: 'utf8', env: { ...env, PATH: process.env['PATH'] } },
    )
  const mount = 'mount -t tmpfs -o size=400k tmpfs "$1"'
  if (onSmallDisk(mount).status !== 0) {
    t.comment('NO MOUNT NAMESPACES HERE: WHAT A FULL DISK DOES TO A BACKUP WAS NOT SHOWN')
    return
  }
  const twice =
    '"$2" "$3" backup "$1/b.db" >&2; before=$(cksum < "$1/b.db"); head -c 200k /dev/zero > "$1/fill"; ' +
    '"$2" "$3" backup "$1/b.db" || echo "ended with $?"; ' +
    'test "$before" = "$(cksum < "$1/b.db")"; ls -A "$1"'
  const { status, stdout, stderr } = onSmallDisk(`${mount}; ${twice}`)
  t.equal(status, 0, stderr)
  t.equal(stdout, 'ended with 1\nb.db\nfill\n')
  t.match(stderr, /disk is too full for .*b\.db/)
})
