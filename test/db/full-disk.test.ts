import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

// A real disk that fills up: a tmpfs of 3 MiB in a mount namespace that ends with the process.
const unshare = (script: string, ...args: readonly string[]) =>
  spawnSync(
    'unshare',
    ['--user', '--map-root-user', '--mount', 'sh', '-ec', script, 'sh', ...args],
    {
      encoding: 'utf8',
    },
  )
const MOUNT = 'mount -t tmpfs -o size=3m tmpfs "$1"'

t.test(
  'a full disk refuses the transaction, gives its room back, and the ledger lives on',
  async (t) => {
    const folder = t.testdir()
    if (unshare(MOUNT, folder).status !== 0) {
      t.comment('NOT TRIED: this machine has no user namespaces to mount a small disk in')
      return
    }
    const script = join(import.meta.dirname, 'fill-disk.ts')
    const child = unshare(`${MOUNT}; exec "$2" "$3" "$1"`, folder, process.execPath, script)
    t.equal(child.status, 0, child.stderr)
    t.match(JSON.parse(child.stdout), {
      refusedAs: 'LedgerFull',
      givenBack: true,
      aliveAfterwards: true,
      versions: ['small', 'after'],
      verdict: { valid: true },
    })
  },
)
