// No container engine is needed here: what the image and the service say is held against the repository.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { SETTINGS } from '../src/config.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

interface Instruction {
  readonly name: string
  readonly text: string
}

/** The instructions of the last stage, which is the image. */
function imageOf(dockerfile: string): readonly Instruction[] {
  const lines = dockerfile
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const instructions = lines.map((line) => {
    const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    return { name, text }
  })
  return instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'))
}

const dockerfile = read('Dockerfile')
const image = imageOf(dockerfile)
const textsOf = (name: string): readonly string[] =>
  image.filter((instruction) => instruction.name === name).map(({ text }) => text)
const jsonOf = (name: string): unknown => JSON.parse(textsOf(name).join())

/** Paths that the image takes from the repository. */
const copied = textsOf('COPY')
  .filter((text) => !text.startsWith('--from='))
  .flatMap((text) => text.split(/\s+/).slice(0, -1))

t.test('the image runs on the Node of .nvmrc', async (t) => {
  const froms = [...dockerfile.matchAll(/^FROM node:(\d+)-\S*slim\b/gm)].map(([, major]) => major)
  t.same(froms, [read('.nvmrc').trim(), read('.nvmrc').trim()])
})

t.test('the image runs the command that package.json names, as `serve`', async (t) => {
  t.same(jsonOf('ENTRYPOINT'), ['node', '--max-semi-space-size=2', 'bin/strongroom.js'])
  t.same(jsonOf('CMD'), ['serve'])
  t.match(JSON.parse(read('package.json')), { bin: { strongroom: 'bin/strongroom.js' } })
  t.ok(existsSync(join(ROOT, 'bin/strongroom.js')))
})

t.test('the image holds everything that the server runs on, and only what exists', async (t) => {
  for (const path of ['package.json', 'bin', 'db', 'migrations', 'routes', 'src']) {
    t.ok(copied.includes(path), `${path} is copied`)
  }
  for (const path of copied) t.ok(existsSync(join(ROOT, path)), `${path} exists`)
})

t.test('the build sees what it copies, and neither data nor secrets nor history', async (t) => {
  const [first, ...admitted] = read('.dockerignore')
    .replaceAll(/^#.*\n/gm, '')
    .trim()
    .split('\n')
  t.equal(first, '*')
  t.same(
    admitted.toSorted(),
    [...copied, 'package-lock.json', '.npmrc'].map((path) => `!${path}`).toSorted(),
  )
})

t.test('only what production needs is installed, by the lockfile, without scripts', async (t) => {
  t.match(dockerfile, /^RUN npm ci --omit=dev --omit=optional /m)
  t.match(dockerfile, /^COPY package\.json package-lock\.json \.npmrc /m)
  t.match(read('.npmrc'), /^ignore-scripts=true$/m)
})

t.test(
  'the image serves as an ordinary user, who alone may look into vault and ledger',
  async (t) => {
    t.match(textsOf('USER').join(), /^[1-9]\d*:[1-9]\d*$/)
    t.match(
      textsOf('RUN').join('\n'),
      /install -d -m 0700 -o node -g node \/data\/vault \/data\/ledger/,
    )
    t.same(jsonOf('VOLUME'), ['/data/vault', '/data/ledger'])
  },
)

t.test('the image listens on every address, on the port that it names', async (t) => {
  const settings = textsOf('ENV').join(' ').split(/\s+/)
  t.ok(settings.includes('STRONGROOM_HOST=0.0.0.0'))
  t.ok(settings.includes('STRONGROOM_VAULT=/data/vault'))
  t.ok(settings.includes('STRONGROOM_LEDGER=/data/ledger'))
  t.ok(settings.includes(`STRONGROOM_PORT=${textsOf('EXPOSE').join()}`))
  t.same(textsOf('STOPSIGNAL'), ['SIGTERM'])
})

t.test('the health check passes while /livez answers 200, and fails otherwise', async (t) => {
  const command: unknown = JSON.parse(
    textsOf('HEALTHCHECK')
      .join()
      .replace(/^.* CMD /, ''),
  )
  const [node, flag, script = ''] = Array.isArray(command) ? command.map(String) : []
  t.same([node, flag], ['node', '-e'])

  let status = 200
  const server = createServer((request, reply) => {
    reply.writeHead(request.url === '/livez' ? status : 404).end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const exitCode = async (): Promise<unknown> => {
    const env = { ...process.env, STRONGROOM_PORT: port }
    const ended: unknown[] = await once(spawn(process.execPath, ['-e', script], { env }), 'exit')
    return ended[0]
  }

  t.equal(await exitCode(), 0)
  status = 503
  t.equal(await exitCode(), 1)
  server.close()
  server.closeAllConnections()
  t.equal(await exitCode(), 1, 'nobody listens')
})

const HARDENED = {
  build: '.',
  read_only: true,
  tmpfs: ['/tmp'],
  cap_drop: ['ALL'],
  security_opt: ['no-new-privileges:true'],
  stop_grace_period: '45s',
  restart: 'unless-stopped',
}

t.test(
  'the services keep vault, ledger and its copies on volumes of their own and give nothing else away',
  async (t) => {
    t.strictSame(parse(read('docker-compose.yml')), {
      services: {
        strongroom: {
          ...HARDENED,
          ports: ['127.0.0.1:8003:8003'],
          // Nothing, not an empty text: then the variable is passed on only where it is set.
          environment: { STRONGROOM_ADMIN_TOKEN: null },
          volumes: ['vault:/data/vault', 'ledger:/data/ledger', 'snapshots:/data/snapshots'],
        },
        // Started only by who asks for it, and with nothing that it could write.
        replica: {
          ...HARDENED,
          profiles: ['replica'],
          ports: ['127.0.0.1:8004:8003'],
          environment: { STRONGROOM_READ_ONLY: '1' },
          volumes: ['vault:/data/vault:ro', 'snapshots:/data/ledger:ro'],
        },
      },
      volumes: { vault: null, ledger: null, snapshots: null },
    })
  },
)

t.test('the backup that is told of writes where the image lets it, by its command', async (t) => {
  for (const text of [read('docker-compose.yml'), read('docs/backup.md')]) {
    const [, program, file = ''] =
      /docker compose exec strongroom (.+) backup (\S+)/.exec(text) ?? []
    t.equal(program, 'node bin/strongroom.js')
    t.equal(file, '/data/snapshots/strongroom.db')
  }
  t.match(textsOf('RUN').join('\n'), /install -d -m 0700 -o node -g node .*\/data\/snapshots$/m)
})

t.test('the services are given longer to stop than transfers are given to end', async (t) => {
  const { services } = parse(read('docker-compose.yml')) as {
    services: Record<string, { stop_grace_period: string }>
  }
  for (const { stop_grace_period: period } of Object.values(services))
    t.ok(Number.parseInt(period) * 1000 > SETTINGS.STOP_TIMEOUT_MS.fallback)
})
