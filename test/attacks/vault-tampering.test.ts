import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  existsSync,
  copyFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { deface, MIB, read, weights, whereInVault } from './hostile.ts'

// On a machine with more to do.
t.setTimeout(120_000)

type Deed = (victim: string, other: string, folder: string) => void

const swap = (a: string, b: string): void => {
  renameSync(a, `${a}.aside`)
  renameSync(b, a)
  renameSync(`${a}.aside`, b)
}
const DEEDS: readonly [string, Deed][] = [
  [
    'deleted',
    (victim) => {
      rmSync(victim)
    },
  ],
  [
    'truncated by one byte',
    (victim) => {
      deface(victim, (bytes) => bytes.subarray(0, -1))
    },
  ],
  [
    'truncated to nothing',
    (victim) => {
      deface(victim, () => Buffer.alloc(0))
    },
  ],
  [
    'extended by one byte',
    (victim) => {
      deface(victim, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))
    },
  ],
  [
    'zeroed',
    (victim) => {
      deface(victim, (bytes) => bytes.fill(0))
    },
  ],
  ['exchanged for another blob of its size', swap],
  [
    'replaced by a symlink to another blob',
    (victim, other) => {
      rmSync(victim)
      symlinkSync(other, victim)
    },
  ],
  [
    'replaced by a symlink to its own bytes',
    (victim, _other, folder) => {
      copyFileSync(victim, join(folder, 'copy'))
      rmSync(victim)
      symlinkSync(join(folder, 'copy'), victim)
    },
  ],
  [
    'replaced by a symlink to a secret',
    (victim) => {
      rmSync(victim)
      symlinkSync('/etc/passwd', victim)
    },
  ],
  [
    'replaced by a folder',
    (victim) => {
      rmSync(victim)
      mkdirSync(victim)
    },
  ],
  [
    'lost with its shelf, in whose place a file stands',
    (victim) => {
      const shelf = dirname(victim)
      renameSync(shelf, `${shelf}-aside`)
      writeFileSync(shelf, 'x')
    },
  ],
  [
    'lost behind a shelf that leads to itself',
    (victim) => {
      const shelf = dirname(victim)
      renameSync(shelf, `${shelf}-aside`)
      symlinkSync(shelf, shelf)
    },
  ],
  [
    'put behind a shelf that leads elsewhere',
    (victim, other) => {
      const shelf = dirname(victim)
      renameSync(shelf, `${shelf}-aside`)
      symlinkSync(dirname(other), shelf)
    },
  ],
]

function mendShelf(shelf: string): void {
  rmSync(shelf)
  renameSync(`${shelf}-aside`, shelf)
}

t.test('a blob that is not what was admitted is never served', async (t) => {
  const server = await startServer(t)
  for (const [i, [what, deed]] of DEEDS.entries()) {
    const bytes = weights(MIB, 2 * i)
    t.equal((await server.put(`acme/victim/${i}`, bytes)).status, 201)
    t.equal((await server.put(`acme/other/${i}`, weights(MIB, 2 * i + 1))).status, 201)
    const [victim, other] = [
      await whereInVault(server, `acme/victim/${i}`),
      await whereInVault(server, `acme/other/${i}`),
    ]
    deed(victim, other, server.folder)
    const answers = [
      await read(server, `acme/victim/${i}`),
      await read(server, `acme/victim/${i}`, { range: 'bytes=0-0' }),
    ]
    for (const answer of answers)
      t.match(answer, { status: 500, code: 'INTEGRITY_FAILURE', bytes: undefined }, what)
    const verify = await server.request(`/v1/checkpoints/acme/victim/${i}/verify`, {
      token: ADMIN,
      method: 'POST',
    })
    t.match(await verify.json(), { valid: false }, `${what}: verify says so`)
    const head = await server.request(`/v1/checkpoints/acme/victim/${i}/files/model.safetensors`, {
      token: ADMIN,
      method: 'HEAD',
    })
    t.equal(head.status, 500, `${what}: known to be damaged from then on`)
    // A new copy has a new random name, which might lie on that very shelf.
    if (what.includes('shelf')) mendShelf(dirname(victim))
    t.equal((await server.put(`acme/victim/${i}`, bytes)).status, 200, `${what}: the same again`)
    t.ok(
      (await read(server, `acme/victim/${i}`)).bytes?.equals(bytes),
      `${what}: are served again, whole`,
    )
  }
  const audit = (await (
    await server.request('/v1/audit?action=integrity_failure&limit=1000')
  ).json()) as { items: unknown[] }
  t.ok(audit.items.length >= DEEDS.length, 'each is an entry of the audit log')
})

t.test(
  "a link in place of one of the vault's folders is refused at start, and what it leads to stays",
  async (t) => {
    const folder = t.testdir({
      precious: { thesis: { 'draft.txt': 'x' }, [`ab${'0'.repeat(30)}`]: 'x' },
    })
    await (await startServer(t, {}, folder)).close()
    for (const place of ['staging', 'blobs', 'quarantine', 'blobs/ab']) {
      const path = join(folder, 'data/vault', place)
      renameSync(path, join(folder, 'aside'))
      symlinkSync(join(folder, 'precious'), path)
      await t.rejects(startServer(t, {}, folder), { name: 'FoldersRefused' }, place)
      t.ok(existsSync(join(folder, 'precious/thesis/draft.txt')), place)
      t.equal(readFileSync(join(folder, `precious/ab${'0'.repeat(30)}`), 'utf8'), 'x', place)
      rmSync(path)
      renameSync(join(folder, 'aside'), path)
    }
  },
)

t.test('what lies in the vault and is nobody’s is swept or left alone, never served', async (t) => {
  const folder = t.testdir()
  const first = await startServer(t, {}, folder)
  t.equal((await first.put('acme/bert/1', weights(64))).status, 201)
  const kept = await whereInVault(first, 'acme/bert/1')
  await first.close()
  const orphan = join(folder, 'data/vault/blobs/ab', `ab${'0'.repeat(30)}`)
  writeFileSync(orphan, 'x')
  writeFileSync(join(folder, 'data/vault/blobs/ab/README'), 'x')
  const again = await startServer(t, {}, folder)
  t.notOk(existsSync(orphan), 'a blob without a row goes')
  t.ok(existsSync(join(folder, 'data/vault/blobs/ab/README')), 'what no vault wrote stays')
  t.ok(existsSync(kept))
  t.ok((await read(again, 'acme/bert/1')).bytes)
})
