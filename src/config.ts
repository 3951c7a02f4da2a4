import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import {
  type Canary,
  type Device,
  parseCanary,
  parseDetector,
  parseDevice,
} from './detect/detector-ref.ts'

const KIB = 1024
const MIB = 1024 * KIB
const GIB = 1024 * MIB

interface Setting<T> {
  readonly fallback: T
  /** Told as what holds when nothing is set. */
  readonly shown: string
  readonly help: string
  /** Throws an Error whose message says what would be right. */
  readonly parse: (text: string) => T
}

const setting = <T>(
  fallback: T,
  parse: (text: string) => T,
  help: string,
  shown = String(fallback),
): Setting<T> => ({ fallback, parse, help, shown })

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: 1024 * GIB,
}

function parseBytes(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,15})(KiB|MiB|GiB|TiB)?$/.exec(text) ?? []
  const bytes = Number(digits) * (UNITS[unit] ?? NaN)
  if (digits === '' || !Number.isSafeInteger(bytes)) {
    throw new Error('must be a number of bytes, or one with KiB, MiB, GiB or TiB behind it')
  }
  return bytes
}

const atLeast =
  (least: number) =>
  (text: string): number => {
    const bytes = parseBytes(text)
    if (bytes < least) throw new Error(`must be at least ${least} bytes`)
    return bytes
  }

const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
    if (!(value >= least && value <= most))
      throw new Error(`must be a whole number from ${least} to ${most}`)
    return value
  }

function parseFlag(text: string): boolean {
  if (text !== '0' && text !== '1') throw new Error('must be 0 or 1')
  return text === '1'
}

function parseText(text: string): string {
  if (text === '') throw new Error('must not be empty')
  return text
}

function parseAdminToken(text: string): string {
  if (!/^[\w.~+/-]{32,512}$/.test(text)) {
    throw new Error('must be 32 to 512 characters of letters, digits and - . _ ~ + /')
  }
  return text
}

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
function parseLevel(text: string): string {
  if (!LEVELS.includes(text)) throw new Error(`must be one of ${LEVELS.join(', ')}`)
  return text
}

function parseUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new Error('must be an http or https URL')
  return text.replace(/\/+$/, '')
}

/** Addresses or CIDR blocks of proxies whose X-Forwarded-* are believed; `1` believes whoever connects. */
function parseTrustProxy(text: string): boolean | string {
  if (text === '0' || text === '1') return text === '1'
  if (!text.split(',').every((block) => isAddressBlock(block.trim())))
    throw new Error('must be 0, 1 or a list of addresses or CIDR blocks')
  return text
}

function isAddressBlock(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return false
  if (bits === undefined) return true
  return /^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128)
}

const cores = availableParallelism()
/** A small encoder gains nothing from more. */
const MOST_THREADS = 8
export const SHIPPED_REF = 'strongroom/pii@production'

/** Settings that say something by being empty. */
const MEAN_SOMETHING_EMPTY = new Set(['DETECTOR'])

/** Every limit and switch of the server: `STRONGROOM_` and the name here, or a flag of `serve`. */
export const SETTINGS = {
  HOST: setting('127.0.0.1', parseText, 'address to listen on'),
  PORT: setting(8003, whole(0, 65535), 'port to listen on; 0 takes a free one'),
  VAULT: setting('./data/vault', parseText, 'folder of the blobs'),
  LEDGER: setting('./data/ledger', parseText, 'folder of the ledger; never inside the vault'),
  READ_ONLY: setting(
    false,
    parseFlag,
    '1 serves a snapshot made by `backup`, and the vault, without writing to either',
    '0',
  ),
  ADMIN_TOKEN: setting<string | undefined>(
    undefined,
    parseAdminToken,
    'first admin token of an empty ledger',
    'made on first start',
  ),
  AUDIT_KEY_FILE: setting<string | undefined>(
    undefined,
    parseText,
    'file with the key that authenticates the head of the audit log; outside the ledger',
    'none',
  ),
  MAX_FILE_BYTES: setting<number | undefined>(
    undefined,
    atLeast(1),
    'largest file that is admitted',
    'none',
  ),
  MAX_FILES: setting(1000, whole(1, 100_000), 'files in one version'),
  MAX_TENSORS: setting(1_000_000, whole(1, 10_000_000), 'tensors in one file'),
  MAX_INDEX_BYTES: setting(32 * MIB, atLeast(1), 'largest `*.safetensors.index.json`', '32 MiB'),
  MAX_SIDECAR_BYTES: setting(
    32 * MIB,
    atLeast(1),
    'largest sidecar (`config.json`, a tokenizer, `README.md`)',
    '32 MiB',
  ),
  MAX_METADATA_BYTES: setting(
    MIB,
    atLeast(1),
    'metadata of one version, its files’ own included',
    '1 MiB',
  ),
  MAX_METADATA_KEYS: setting(
    4096,
    whole(1, 1_000_000),
    'keys in the metadata of one version, its files’ own included',
  ),
  MAX_UPLOADS: setting(
    64,
    whole(1, 10_000),
    'uploads at once, to publish, migrate or scan; more are answered 429',
  ),
  UPLOAD_KEPT_MS: setting(
    86_400_000,
    whole(1_000, 2_592_000_000),
    'how long an uploaded file waits for a commit that names it',
  ),
  UPLOAD_GRANT_MS: setting(
    21_600_000,
    whole(100, 604_800_000),
    'how long an address for an upload is good for',
  ),
  UPLOAD_PART_BYTES: setting(
    512 * MIB,
    atLeast(MIB),
    'a file that is larger comes in parts of this size from a client of the Hub; at most 100 of them',
    '512 MiB',
  ),
  XET_MEMORY_BYTES: setting(
    192 * MIB,
    atLeast(MIB),
    'lists of chunks in Xet uploads: those being read, and as much again of those kept; more are answered 429',
    '192 MiB',
  ),
  HEADER_MEMORY_BYTES: setting(
    200 * MIB,
    atLeast(100 * MIB),
    'headers larger than 1 MiB being judged at once, in all',
    '200 MiB',
  ),
  CACHE_BYTES: setting(
    256 * MIB,
    atLeast(16 * MIB),
    'verified chunks and upload buffers kept in memory',
    '256 MiB',
  ),
  HASH_WORKERS: setting(cores, whole(1, 256), 'threads that read and hash', 'one a core'),
  MAX_SELECT_TENSORS: setting(20_000, whole(1, 100_000), 'tensors in one selection'),
  SELECT_MEMORY_BYTES: setting(
    64 * MIB,
    atLeast(MIB),
    'headers of selections being put together and sent at once, in all',
    '64 MiB',
  ),
  MAX_CONNECTIONS: setting(4096, whole(1, 1_000_000), 'open connections; more are closed at once'),
  MAX_VERIFICATIONS: setting(
    1,
    whole(1, 64),
    '`verify` requests that run at once; up to 8 more wait',
  ),
  MAX_MIGRATIONS: setting(
    2,
    whole(1, 64),
    'migrations and scans that run at once, each in a process of its own; more wait',
  ),
  MIGRATION_MEMORY_BYTES: setting(
    GIB,
    atLeast(128 * MIB),
    'memory of such a process, above which it is ended and its file refused',
    '1 GiB',
  ),
  MIGRATION_DEADLINE_MS: setting(
    600_000,
    whole(100, 86_400_000),
    'how long such a process may take',
  ),
  DETECTOR: setting(
    parseDetector(SHIPPED_REF),
    parseDetector,
    'the detector, as owner/name@ref; empty for no detection',
    SHIPPED_REF,
  ),
  DETECTOR_CANARY: setting<Canary | undefined>(
    undefined,
    parseCanary,
    'another detector and the percentage of requests that it gets, as owner/name@ref:10',
    'none',
  ),
  DEVICE: setting<Device>(
    'auto',
    parseDevice,
    'where it runs: cuda, webgpu or cpu; auto is cuda where that works, else cpu',
  ),
  MAX_DETECT_TEXTS: setting(64, whole(1, 10_000), 'texts in one detection'),
  MAX_DETECT_CODE_POINTS: setting(10_000, whole(1, 1_000_000), 'code points in one text'),
  MAX_DETECT_BODY_BYTES: setting(8 * MIB, atLeast(1), 'body of one detection', '8 MiB'),
  DETECT_BODY_MEMORY_BYTES: setting(
    64 * MIB,
    atLeast(MIB),
    'bodies of detections being answered at once, in all; more are answered 429',
    '64 MiB',
  ),
  DETECT_QUEUE_TEXTS: setting(
    1024,
    whole(1, 1_000_000),
    'texts being judged or waiting for it; more are answered 429',
  ),
  DETECT_QUEUE_CODE_POINTS: setting(
    1_000_000,
    whole(1, 1_000_000_000),
    'code points being judged or waiting for it, 16 bytes of activations as one; more are answered 429',
  ),
  DETECT_DEADLINE_MS: setting(
    60_000,
    whole(10, 3_600_000),
    'how long a detection may take, waiting included, before it is answered 504',
  ),
  DETECT_BATCH_CHUNKS: setting(
    32,
    whole(1, 1024),
    'windows of text in a batch; on a CPU it goes through the model in parts',
  ),
  DETECT_BATCH_WAIT_MS: setting(
    2,
    whole(0, 1000),
    'how long the first window after a silence waits for others',
  ),
  DETECT_THREADS: setting(
    Math.min(cores, MOST_THREADS),
    whole(1, 256),
    'threads of inference; on a CPU two run side by side and share them',
    `one a core, at most ${MOST_THREADS}`,
  ),
  STALL_TIMEOUT_MS: setting(
    60_000,
    whole(1_000, 86_400_000),
    'a connection on which nothing moves is closed after this time',
  ),
  MIN_UPLOAD_RATE: setting(
    1024,
    whole(0, 1_000_000_000),
    'bytes a second, over the stall time, below which an upload is ended',
  ),
  STOP_TIMEOUT_MS: setting(
    30_000,
    whole(0, 86_400_000),
    'how long transfers may go on after SIGTERM',
  ),
  DISK_FLOOR_BYTES: setting(
    GIB,
    parseBytes,
    'free space of the vault below which nothing is admitted',
    '1 GiB',
  ),
  AUTH_FAILURES_PER_MINUTE: setting(
    30,
    whole(1, 1_000_000),
    'bad tokens an address may present in a minute before 429',
  ),
  LOG_LEVEL: setting('info', parseLevel, 'fatal, error, warn, info, debug, trace or silent'),
  METRICS_PUBLIC: setting(false, parseFlag, '1 opens /metrics to callers without a token', '0'),
  PUBLIC_URL: setting<string | undefined>(
    undefined,
    parseUrl,
    'how callers reach the server, for Location and Link',
    'relative references',
  ),
  TRUST_PROXY: setting<boolean | string>(
    false,
    parseTrustProxy,
    '1, or addresses whose X-Forwarded-* are believed',
    '0',
  ),
} as const

type Settings = typeof SETTINGS
export type SettingName = keyof Settings
export type Config = {
  readonly [K in SettingName]: Settings[K] extends Setting<infer T> ? T : never
}

/** Variables that other commands, or later parts of the server, read. */
const OTHERS_READ = new Set(['STRONGROOM_URL', 'STRONGROOM_TOKEN'])

export class ConfigError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/**
 * Reads the configuration from environment variables and flags (a flag wins), and reports every problem at
 * once.
 *
 * @throws {ConfigError} with one line a problem.
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, string | undefined>> = {},
): { readonly config: Config; readonly warnings: readonly string[] } {
  const problems: string[] = []
  const warnings: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, { fallback, parse }] of Object.entries(SETTINGS)) {
    const variable = `STRONGROOM_${name}`
    const text = flags[name] ?? env[variable]
    values[name] = fallback
    if (text === undefined) continue
    const isUnset = text === '' && flags[name] === undefined && !MEAN_SOMETHING_EMPTY.has(name)
    if (isUnset) continue
    if (name === 'PORT' && flags[name] === undefined && text.startsWith('tcp://')) {
      warnings.push(
        `${variable}=${text} looks like a service link that Kubernetes injects; it is ignored`,
      )
      continue
    }
    try {
      values[name] = parse(text)
    } catch (error) {
      problems.push(`${flags[name] === undefined ? variable : flagOf(name)} ${messageOf(error)}`)
    }
  }
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith('STRONGROOM_') || OTHERS_READ.has(variable)) continue
    if (!Object.hasOwn(SETTINGS, variable.slice('STRONGROOM_'.length))) {
      warnings.push(`${variable} is not a setting of this server; it is ignored`)
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return { config: values as Config, warnings }
}

/** `CACHE_BYTES` → `--cache-bytes`. */
export const flagOf = (name: string): string => `--${name.toLowerCase().replaceAll('_', '-')}`

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)
