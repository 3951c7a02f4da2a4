import { crc32 } from 'node:zlib'

// Pickles and torch's two formats, put together by hand, so that a test can have any part of them wrong. Code is what
// leaves one value on the stack.

type Part = string | Uint8Array

/** Text stands for its Latin-1 bytes. */
export const join = (...parts: readonly Part[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  )

export function little(value: number | bigint, bytes: number): Buffer {
  const found = Buffer.alloc(8)
  found.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)))
  return found.subarray(0, bytes)
}

/** A whole pickle of one value. */
export const pickle = (...code: readonly Part[]): Buffer => join('\x80\x02', ...code, '.')

/** BINUNICODE */
export function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return join('X', little(bytes.length, 4), bytes)
}
/** BININT, or LONG1 where that is too short. */
export function int(value: number | bigint): Buffer {
  const big = BigInt(value)
  return BigInt.asIntN(32, big) === big
    ? join('J', little(big, 4))
    : join('\x8a\x09', little(big, 8), '\0')
}
/** BINFLOAT */
export function float(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return join('G', bytes)
}
export const global = (module: string, name: string): Buffer =>
  join('c', Buffer.from(`${module}\n${name}\n`, 'utf8'))
export const tuple = (...items: readonly Part[]): Buffer => join('(', ...items, 't')
export const list = (...items: readonly Part[]): Buffer => join('](', ...items, 'e')
export const put = (key: number, code: Part): Buffer => join(code, 'r', little(key, 4))
export const get = (key: number): Buffer => join('j', little(key, 4))
export const call = (module: string, name: string, ...args: readonly Part[]): Buffer =>
  join(global(module, name), tuple(...args), 'R')
export function dict(entries: Readonly<Record<string, Part>>): Buffer {
  const items = Object.entries(entries).map(([key, value]) => join(text(key), value))
  return join('}(', Buffer.concat(items), 'u')
}

export interface StorageFacts {
  readonly key?: string
  /** A class, in torch. */
  readonly of?: string
  readonly count?: number | bigint
}

export function storage({ key = '0', of = 'FloatStorage', count = 6 }: StorageFacts = {}): Buffer {
  const [name = '', module = 'torch'] = of.split('.').reverse()
  const type = global(of.includes('.') ? `torch.${module}` : 'torch', name)
  return join(tuple(text('storage'), type, text(key), text('cpu'), int(count)), 'Q')
}

export interface TensorFacts extends StorageFacts {
  readonly offset?: number | bigint
  readonly shape?: readonly (number | bigint)[]
  readonly strides?: readonly (number | bigint)[]
}

const HOOKS = call('collections', 'OrderedDict')

/** `_rebuild_tensor_v2`: of six floats, in two rows of three unless told. */
export function tensor(facts: TensorFacts = {}): Buffer {
  const { offset = 0, shape = [2, 3], strides = [3, 1] } = facts
  const view = [int(offset), tuple(...shape.map(int)), tuple(...strides.map(int))]
  return call('torch._utils', '_rebuild_tensor_v2', storage(facts), ...view, '\x89', HOOKS)
}

/** `_rebuild_tensor_v3`, of a storage without a type. */
export function tensorOf(dtype: string, facts: TensorFacts): Buffer {
  const { offset = 0, shape = [], strides = [] } = facts
  const view = [int(offset), tuple(...shape.map(int)), tuple(...strides.map(int))]
  const bytes = storage({ of: 'storage.UntypedStorage', ...facts })
  return call(
    'torch._utils',
    '_rebuild_tensor_v3',
    bytes,
    ...view,
    '\x89',
    HOOKS,
    global('torch', dtype),
  )
}

/** Bytes of six floats, as all tensors here have them unless told. */
export const FLOATS = Buffer.from(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)

/** A record of an archive, and what its headers say of it where that is to be wrong. */
export interface ZipEntry {
  readonly name: string
  readonly bytes: Uint8Array
  readonly method?: number
  readonly flags?: number
  readonly crc32?: number
  /** In the directory; in the local header they are 0 unless told. */
  readonly sizeBytes?: number
  readonly storedBytes?: number
  readonly comment?: string
  readonly centralExtra?: Uint8Array
  readonly local?: {
    readonly signature?: number
    readonly name?: string
    readonly method?: number
    readonly flags?: number
    readonly crc32?: number
    readonly sizeBytes?: number
  }
  readonly descriptor?: Uint8Array
  /** Bytes before its local header, and behind its descriptor. */
  readonly before?: Uint8Array
  readonly behind?: Uint8Array
}

export interface ZipFacts {
  /** Bytes of the directory, changed. */
  readonly directory?: (bytes: Buffer) => Buffer
  /** The last 98 bytes: ZIP64 end record (56), its locator (20), end record (22). */
  readonly tail?: (bytes: Buffer) => Buffer
  /** Of the directory's order; that of the bytes unless told. */
  readonly order?: (entries: readonly Buffer[]) => readonly Buffer[]
}

/** An archive as PyTorchFileWriter lays it out; payloads aligned to 64. */
export function zip(entries: readonly ZipEntry[], facts: ZipFacts = {}): Buffer {
  const parts: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  const add = (bytes: Uint8Array): void => {
    parts.push(Buffer.from(bytes))
    at += bytes.length
  }
  for (const entry of entries) {
    add(entry.before ?? new Uint8Array())
    central.push(centralHeader(entry, at))
    add(localHeader(entry, at))
    add(entry.bytes)
    if (entry.bytes.length > 0 || entry.descriptor !== undefined) add(descriptor(entry))
    add(entry.behind ?? new Uint8Array())
  }
  const directory = Buffer.concat(facts.order?.(central) ?? central)
  const changed = facts.directory?.(directory) ?? directory
  const tail = zipTail(entries.length, at, changed.length)
  return Buffer.concat([...parts, changed, facts.tail?.(tail) ?? tail])
}

const flagsOf = ({ bytes, flags }: ZipEntry): number => flags ?? (bytes.length > 0 ? 0x808 : 0x800)

function localHeader(entry: ZipEntry, at: number): Buffer {
  const { local = {} } = entry
  const name = Buffer.from(local.name ?? entry.name, 'utf8')
  const padding = (64 - ((at + 30 + name.length + 4) % 64)) % 64
  return join(
    little(local.signature ?? 0x04034b50, 4),
    little(0, 2),
    little(local.flags ?? flagsOf(entry), 2),
    little(local.method ?? entry.method ?? 0, 2),
    little(0, 4),
    little(local.crc32 ?? 0, 4),
    little(local.sizeBytes ?? 0, 4),
    little(local.sizeBytes ?? 0, 4),
    little(name.length, 2),
    little(4 + padding, 2),
    name,
    join('FB', little(padding, 2), 'Z'.repeat(padding)),
  )
}

const crcOf = ({ crc32: told, bytes }: ZipEntry): number => told ?? crc32(bytes)

function descriptor(entry: ZipEntry): Uint8Array {
  const size = little(entry.bytes.length, 4)
  return entry.descriptor ?? join('PK\x07\x08', little(crcOf(entry), 4), size, size)
}

function centralHeader(entry: ZipEntry, at: number): Buffer {
  const { bytes, sizeBytes = bytes.length, storedBytes = sizeBytes } = entry
  const name = Buffer.from(entry.name, 'utf8')
  const comment = entry.comment ?? ''
  const extra = entry.centralExtra ?? new Uint8Array()
  return join(
    'PK\x01\x02',
    little(0, 4),
    little(flagsOf(entry), 2),
    little(entry.method ?? 0, 2),
    little(0, 4),
    little(crcOf(entry), 4),
    little(storedBytes, 4),
    little(sizeBytes, 4),
    little(name.length, 2),
    little(extra.length, 2),
    little(comment.length, 2),
    little(0, 8),
    little(at, 4),
    name,
    extra,
    comment,
  )
}

function zipTail(count: number, begin: number, length: number): Buffer {
  return join(
    'PK\x06\x06',
    little(44, 8),
    little(0x1e, 2),
    little(0x2d, 2),
    little(0, 8),
    little(count, 8),
    little(count, 8),
    little(length, 8),
    little(begin, 8),
    join('PK\x06\x07', little(0, 4), little(begin + length, 8), little(1, 4)),
    'PK\x05\x06',
    little(0, 4),
    little(Math.min(count, 0xffff), 2),
    little(Math.min(count, 0xffff), 2),
    little(length, 4),
    little(begin, 4),
    little(0, 2),
  )
}

/** The records of a checkpoint, in torch's order. */
export function records(
  object: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = { 0: FLOATS },
): ZipEntry[] {
  return [
    { name: 'archive/data.pkl', bytes: object },
    { name: 'archive/.format_version', bytes: Buffer.from('1') },
    { name: 'archive/.storage_alignment', bytes: Buffer.from('64') },
    { name: 'archive/byteorder', bytes: Buffer.from('little') },
    ...Object.entries(storages).map(([key, bytes]) => ({ name: `archive/data/${key}`, bytes })),
    { name: 'archive/version', bytes: Buffer.from('3\n') },
    { name: 'archive/.data/serialization_id', bytes: Buffer.from('0'.repeat(40)) },
  ]
}

/** A checkpoint of torch.save, of the code of its object. */
export const checkpoint = (
  code: Uint8Array,
  storages?: Readonly<Record<string, Uint8Array>>,
): Buffer => zip(records(pickle(code), storages))

/** A small checkpoint that is as it should be. */
export const GOOD = checkpoint(dict({ weight: tensor() }))

export interface LegacyFacts {
  readonly magic?: Uint8Array
  readonly version?: Uint8Array
  readonly system?: Uint8Array
  readonly object?: Uint8Array
  readonly keys?: Uint8Array
  /** Keys, counts of elements and bytes. */
  readonly storages?: readonly (readonly [string, number | bigint, Uint8Array])[]
  readonly behind?: Uint8Array
}

/** The format before torch 1.6. */
export function legacy(facts: LegacyFacts = {}): Buffer {
  const { storages = [['0', 6, FLOATS]] } = facts
  return join(
    facts.magic ?? pickle('\x8a\x0a', Buffer.from('6cfc9c46f9206aa85019', 'hex')),
    facts.version ?? pickle('M', little(1001, 2)),
    facts.system ?? pickle(dict({ protocol_version: int(1001), little_endian: '\x88' })),
    facts.object ?? pickle(dict({ weight: tensor() })),
    facts.keys ?? pickle(list(...storages.map(([key]) => text(key)))),
    ...storages.flatMap(([, count, bytes]) => [little(count, 8), bytes]),
    facts.behind ?? '',
  )
}
