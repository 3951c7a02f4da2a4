// No container engine is needed here: what the image and the service say is held against the repository.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { SETTINGS } from '../src/config.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

interface Instruction {
  readonly name: string
  readonly text: string
}

interface Stage {
  readonly base: string
  readonly instructions: readonly Instruction[]
}

/** Stages by their names, the last one as `''`. */
function stagesOf(dockerfile: string): ReadonlyMap<string, Stage> {
  const lines = dockerfile
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages = new Map<string, Stage & { instructions: Instruction[] }>()
  let instructions: Instruction[] = []
  for (const line of lines) {
    const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') {
      const [base = '', stage = ''] = text.split(' AS ')
      instructions = []
      stages.set(stage, { base, instructions })
    } else instructions.push({ name, text })
  }
  return stages
}

const dockerfile = read('Dockerfile')
const stages = stagesOf(dockerfile)
/** What the instructions of a name say in a stage; of the image, where none is named. */
const textsOf = (name: string, stage = 'server'): readonly string[] =>
  (stages.get(stage)?.instructions ?? [])
    .filter((instruction) => instruction.name === name)
    .map(({ text }) => text)
const jsonOf = (name: string): unknown => JSON.parse(textsOf(name).join())

/** Paths that a stage takes from the repository. */
const copiedTo = (stage: string): readonly string[] =>
  textsOf('COPY', stage)
    .filter((text) => !text.startsWith('--from='))
    .flatMap((text) => text.split(/\s+/).slice(0, -1))
const copied = copiedTo('server')

t.test('what is built without a target is the image without anything for a GPU', async (t) => {
  t.strictSame(stages.get(''), { base: 'server', instructions: [] })
  t.notMatch(JSON.stringify(stages.get('server')), /cuda|gpu|nvidia/i)
  t.equal(stages.get('gpu')?.base, 'server', 'the one for a GPU is that and more')
})

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
  for (const path of ['package.json', 'bin', 'db', 'detector', 'migrations', 'routes', 'src']) {
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
    [...new Set([...stages.keys()].flatMap(copiedTo))].map((path) => `!${path}`).toSorted(),
  )
})

t.test('only what production needs is installed, by the lockfile, without scripts', async (t) => {
  t.match(dockerfile, /^RUN npm ci --omit=dev --omit=optional /m)
  t.match(dockerfile, /^COPY package\.json package-lock\.json \.npmrc /m)
  t.match(read('.npmrc'), /^ignore-scripts=true$/m)
})

t.test('of the engine only what this platform runs is kept', async (t) => {
  const [, command = ''] = /&&\s+(find .*)$/.exec(textsOf('RUN', 'dependencies').join()) ?? []
  const engine = 'node_modules/onnxruntime-node/bin'
  // The package's own folders, without what is in them.
  const folders = globSync(`${engine}/*/*/*`, { cwd: ROOT })
  const root = t.testdir()
  for (const folder of folders) mkdirSync(join(root, folder, 'lib'), { recursive: true })

  execFileSync('sh', ['-ec', command], {
    cwd: root,
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` },
  })

  t.ok(folders.length > 3)
  const kept = folders.filter((folder) => existsSync(join(root, folder, 'lib')))
  t.same(
    kept,
    folders.filter((folder) => folder.endsWith(`/linux/${process.arch}`)),
  )
})

const cuda = read('cuda-requirements.txt')
  .replaceAll(/^#.*\n/gm, '')
  .trim()
  .split('\n')

t.test('the image for a GPU takes named bytes of the engine’s own release', async (t) => {
  for (const line of cuda) t.match(line, /^[a-z-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/)
  const { dependencies } = JSON.parse(read('package.json')) as {
    dependencies: Record<string, string>
  }
  const release = dependencies['onnxruntime-node'] ?? ''
  t.ok(cuda.some((line) => line.startsWith(`onnxruntime-gpu==${release} `)))
  t.match(
    textsOf('RUN', 'cuda').join(),
    / --no-deps .*--require-hashes .*-r \/cuda-requirements\.txt/,
  )
})

t.test('the engine finds what the image for a GPU adds', async (t) => {
  const [provider = '', libraries = ''] = textsOf('COPY', 'gpu').map(
    (text) => text.split(' ').at(-1) ?? '',
  )
  t.ok(existsSync(join(ROOT, 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64')))
  t.equal(provider, 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64', 'beside the binding')
  t.ok(textsOf('ENV', 'gpu').join(' ').split(/\s+/).includes(`LD_LIBRARY_PATH=${libraries}`))
  t.same(textsOf('USER', 'gpu'), [], 'the user stays')
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
        // The same on a GPU, instead of it: both have one port.
        gpu: {
          ...HARDENED,
          build: { context: '.', target: 'gpu' },
          profiles: ['gpu'],
          ports: ['127.0.0.1:8003:8003'],
          environment: { STRONGROOM_ADMIN_TOKEN: null, STRONGROOM_DEVICE: 'cuda' },
          volumes: ['vault:/data/vault', 'ledger:/data/ledger', 'snapshots:/data/snapshots'],
          deploy: {
            resources: {
              reservations: { devices: [{ driver: 'nvidia', count: 1, capabilities: ['gpu'] }] },
            },
          },
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
