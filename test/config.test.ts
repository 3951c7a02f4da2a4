import t from 'tap'
import { ConfigError, flagOf, readConfig, SETTINGS } from '../src/config.ts'

/** The problems that a configuration has. */
function problemsOf(...args: Parameters<typeof readConfig>): readonly string[] {
  try {
    readConfig(...args)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('without any setting the server listens on 127.0.0.1:8003, in ./data', (t) => {
  const { config, warnings } = readConfig({ PATH: '/bin' })
  t.match(config, {
    HOST: '127.0.0.1',
    PORT: 8003,
    VAULT: './data/vault',
    LEDGER: './data/ledger',
    ADMIN_TOKEN: undefined,
    MAX_FILE_BYTES: undefined,
    CACHE_BYTES: 256 * 1024 * 1024,
    METRICS_PUBLIC: false,
    TRUST_PROXY: false,
  })
  t.same(warnings, [])
  t.end()
})

t.test('a variable sets, an empty one does not, and a flag wins over it', (t) => {
  const env = { STRONGROOM_PORT: '9000', STRONGROOM_HOST: '', STRONGROOM_VAULT: '/a' }
  const { config } = readConfig(env, { VAULT: '/b' })
  t.match(config, { PORT: 9000, HOST: '127.0.0.1', VAULT: '/b' })
  t.end()
})

t.test('every problem is told at once, each by the name under which it was given', (t) => {
  const problems = problemsOf(
    { STRONGROOM_PORT: '70000', STRONGROOM_CACHE_BYTES: '1', STRONGROOM_LOG_LEVEL: 'loud' },
    { MAX_FILES: 'many', VAULT: '' },
  )
  t.same(problems.map((problem) => problem.split(' ')[0]).sort(), [
    '--max-files',
    '--vault',
    'STRONGROOM_CACHE_BYTES',
    'STRONGROOM_LOG_LEVEL',
    'STRONGROOM_PORT',
  ])
  t.end()
})

t.test('the port that Kubernetes injects is ignored with a warning, but not as a flag', (t) => {
  const link = 'tcp://10.0.0.1:80'
  const { config, warnings } = readConfig({ STRONGROOM_PORT: link })
  t.equal(config.PORT, 8003)
  t.equal(warnings.length, 1)
  t.equal(problemsOf({}, { PORT: link }).length, 1)
  t.end()
})

t.test('an unknown variable is a warning; one of the client is none', (t) => {
  const { warnings } = readConfig({
    STRONGROOM_CASHE_BYTES: '1',
    STRONGROOM_toString: '1',
    STRONGROOM_URL: 'http://h',
    STRONGROOM_TOKEN: 'sr_',
  })
  t.equal(warnings.length, 2)
  t.match(warnings[0], /STRONGROOM_CASHE_BYTES/)
  t.end()
})

t.test('a read-only server is asked for by 1, and nothing else passes for it', (t) => {
  const isReadOnly = (text: string) => readConfig({ STRONGROOM_READ_ONLY: text }).config.READ_ONLY
  t.equal(isReadOnly('1'), true)
  t.equal(isReadOnly('0'), false)
  t.equal(isReadOnly(''), false)
  t.equal(readConfig({}, { READ_ONLY: '1' }).config.READ_ONLY, true)
  t.equal(problemsOf({ STRONGROOM_READ_ONLY: 'yes' }).length, 1)
  t.end()
})

const token = 'x'.repeat(32)
const GOOD: readonly (readonly [keyof typeof SETTINGS, string, unknown])[] = [
  ['CACHE_BYTES', '16777216', 16777216],
  ['CACHE_BYTES', '16MiB', 16777216],
  ['DISK_FLOOR_BYTES', '0', 0],
  ['DISK_FLOOR_BYTES', '3KiB', 3072],
  ['DISK_FLOOR_BYTES', '2GiB', 2 * 1024 ** 3],
  ['MAX_FILE_BYTES', '1TiB', 1024 ** 4],
  ['PORT', '0', 0],
  ['METRICS_PUBLIC', '1', true],
  ['ADMIN_TOKEN', token, token],
  ['PUBLIC_URL', 'https://models.example/base//', 'https://models.example/base'],
  ['TRUST_PROXY', '1', true],
  ['TRUST_PROXY', '0', false],
  ['TRUST_PROXY', '10.0.0.0/8, ::1', '10.0.0.0/8, ::1'],
]
for (const [name, text, value] of GOOD) {
  t.test(`${name} may be ${text}`, (t) => {
    t.equal(readConfig({ [`STRONGROOM_${name}`]: text }).config[name], value)
    t.end()
  })
}

const BAD: readonly (readonly [keyof typeof SETTINGS, string])[] = [
  ['CACHE_BYTES', '16777215'],
  ['CACHE_BYTES', '16MB'],
  ['CACHE_BYTES', '16 MiB'],
  ['CACHE_BYTES', '-16MiB'],
  ['CACHE_BYTES', '1.5GiB'],
  ['CACHE_BYTES', '9000000TiB'],
  ['CACHE_BYTES', '1e9'],
  ['CACHE_BYTES', 'MiB'],
  ['MAX_FILE_BYTES', '0'],
  ['PORT', '65536'],
  ['PORT', '0x10'],
  ['PORT', '-1'],
  ['HASH_WORKERS', '0'],
  ['METRICS_PUBLIC', 'yes'],
  ['ADMIN_TOKEN', 'x'.repeat(31)],
  ['ADMIN_TOKEN', `${token} `],
  ['LOG_LEVEL', 'INFO'],
  ['PUBLIC_URL', 'ftp://h'],
  ['PUBLIC_URL', 'http://'],
  ['TRUST_PROXY', 'true'],
  ['TRUST_PROXY', '1.2.3.4.5'],
  ['TRUST_PROXY', '10.0.0.0/33'],
  ['TRUST_PROXY', '10.0.0.0/0'],
  ['TRUST_PROXY', '10.0.0.0/8/8'],
  ['TRUST_PROXY', '10.0.0.1,'],
]
for (const [name, text] of BAD) {
  t.test(`${name} may not be ${text}`, (t) => {
    t.equal(problemsOf({ [`STRONGROOM_${name}`]: text }).length, 1)
    t.end()
  })
}

t.test('no problem repeats an admin token', (t) => {
  const [problem = ''] = problemsOf({ STRONGROOM_ADMIN_TOKEN: 'hunter2 hunter2' })
  t.notMatch(problem, /hunter2/)
  t.end()
})

t.test('a flag is the name in lower case with dashes', (t) => {
  t.equal(flagOf('CACHE_BYTES'), '--cache-bytes')
  t.end()
})

t.test('a detector is named by owner, name and ref; the empty text means none', (t) => {
  const detector = (text?: string) => readConfig({ STRONGROOM_DETECTOR: text }).config.DETECTOR
  t.equal(detector()?.text, 'strongroom/pii@production')
  t.match(detector('acme/pii@1.0+b'), { owner: 'acme', name: 'pii', ref: '1.0+b' })
  t.equal(detector(''), undefined)
  t.equal(readConfig({}, { DETECTOR: '' }).config.DETECTOR, undefined)
  const canary = readConfig({ STRONGROOM_DETECTOR_CANARY: 'acme/pii@next:10' }).config
  t.match(canary.DETECTOR_CANARY, { ref: { owner: 'acme', name: 'pii', ref: 'next' }, percent: 10 })
  t.end()
})

for (const [name, text] of [
  ['DETECTOR', 'acme/pii'],
  ['DETECTOR', 'pii@production'],
  ['DETECTOR', 'a/b@c/d'],
  ['DETECTOR_CANARY', 'acme/pii@next'],
  ['DETECTOR_CANARY', 'acme/pii@next:0'],
  ['DETECTOR_CANARY', 'acme/pii@next:101'],
  ['DEVICE', 'gpu'],
  ['DETECT_THREADS', '0'],
] as const) {
  t.test(`${name} may not be ${text}`, (t) => {
    t.equal(problemsOf({ [`STRONGROOM_${name}`]: text }).length, 1)
    t.end()
  })
}
