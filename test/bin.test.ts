import { execFileSync, spawnSync } from 'node:child_process'
import { delimiter, join } from 'node:path'
import t from 'tap'
import packageJson from '../package.json' with { type: 'json' }

const BIN = join(import.meta.dirname, '../bin/strongroom.js')

t.test('the command runs under this Node', async (t) => {
  t.equal(
    execFileSync(process.execPath, [BIN, '--version'], { encoding: 'utf8' }).trim(),
    packageJson.version,
  )
})

t.test(
  'under an older Node it finds the one that came with it, or says what is needed',
  async (t) => {
    // npm puts the project's own Node first; the machine's is behind it.
    const path = (process.env['PATH'] ?? '')
      .split(delimiter)
      .filter((folder) => !folder.endsWith('node_modules/.bin'))
      .join(delimiter)
    const options = { encoding: 'utf8', env: { ...process.env, PATH: path } } as const
    const { stdout: version } = spawnSync('node', ['--version'], options)
    if (!/^v(18|20|22)\./.test(version)) {
      t.comment(`NOT TRIED: no older Node on this machine, only ${version.trim()}`)
      return
    }
    const { stdout, stderr, status } = spawnSync('node', [BIN, '--version'], options)
    if (status === 0) t.equal(stdout.trim(), packageJson.version)
    else t.match(stderr, /Node 24 or newer is needed/)
  },
)
