import { createHash } from 'node:crypto'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { call, join, little, pickle, text, zip, type ZipEntry } from '../../../bench/fuzz-pickle/assembler.ts' // prettier-ignore
import { SCAN_LIMITS } from '../../../src/pickle/scan/limits.ts'
import { scan, type ScanReport } from '../../../src/pickle/scan/report.ts'
import { sourceOfBytes } from '../../../src/pickle/source.ts'

const HOSTILE = pickle(call('os', 'system', text('id')))

const scanned = (bytes: Uint8Array, limits: Partial<typeof SCAN_LIMITS> = {}): ScanReport =>
  scan(sourceOfBytes(Buffer.from(bytes)), { ...SCAN_LIMITS, ...limits })

/** Where a call of os.system was found. */
const foundIn = (bytes: Uint8Array): readonly string[] =>
  scanned(bytes)
    .findings.filter(({ global, isAttack }) => global === 'os.system' && isAttack)
    .map(({ entry }) => entry)

/** A header of tar, with the checksum that makes it one. */
function tarHeader(name: string, size: Uint8Array | string): Buffer {
  const header = Buffer.alloc(512)
  header.write(name)
  header.write('0000644\0', 100)
  join(size).copy(header, 124)
  header.write(' '.repeat(8), 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
const octal = (size: number): string => size.toString(8).padStart(11, '0')
const padded = (bytes: Uint8Array): Buffer =>
  join(bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512))
const tar = (name: string, bytes: Uint8Array): Buffer =>
  join(tarHeader(name, octal(bytes.length)), padded(bytes))

/** An array of objects, as NumPy writes it. */
function npy(version: 1 | 2, objects: Uint8Array): Buffer {
  const header = `{'descr': '|O', 'fortran_order': False, 'shape': (1,), }${' '.repeat(40)}\n`
  return join('\x93NUMPY', little(version, 2), little(header.length, version === 1 ? 2 : 4), header, objects) // prettier-ignore
}

const gz = (bytes: Uint8Array): Buffer => gzipSync(bytes)

t.test('NumPy’s arrays of objects are pickles', async (t) => {
  for (const version of [1, 2] as const) t.strictSame(foundIn(npy(version, HOSTILE)), [''])
  const npz = zip([{ name: 'a.npy', bytes: npy(1, HOSTILE) }])
  t.strictSame(foundIn(npz), ['a.npy'])
  t.equal(scanned(npz).format, 'npz')
  // A header that leads beyond the file.
  t.equal(scanned(join('\x93NUMPY\x02\0\xff\xff\xff\xff', '{}')).verdict, 'refused')
  t.equal(scanned(join('\x93NUMPY\x01\0')).verdict, 'refused')
})

t.test('members of archives of tar are looked into', async (t) => {
  t.strictSame(foundIn(join(tar('sys_info', pickle('N')), tar('pickle', HOSTILE))), ['pickle'])
  const report = scanned(join(tar('a', Buffer.from('x')), Buffer.alloc(1024)))
  t.equal(report.format, 'tar')
  t.equal(report.verdict, 'refused')
  t.strictSame(report.findings, [])
})

t.test('a tar is read however its sizes are written', async (t) => {
  const binary = join('\x80', Buffer.alloc(7), Buffer.from([0, 0, 0, 3]))
  for (const size of [binary, octal(3), '77777777777', '-1', ''])
    t.ok(
      foundIn(join(tarHeader('a', size), padded(Buffer.from('abc')), tar('b', HOSTILE))).includes('b'), // prettier-ignore
      JSON.stringify(size.toString()),
    )
})

t.test('what joblib compresses is unpacked', async (t) => {
  t.strictSame(foundIn(deflateSync(HOSTILE)), [''])
  t.strictSame(foundIn(gz(HOSTILE)), [''])
  const named = gz(HOSTILE)
  named[3] = 0x1e
  const fields = join(little(2, 2), 'ab', 'name.pkl\0', 'a comment\0', '\0\0')
  t.strictSame(foundIn(join(named.subarray(0, 10), fields, named.subarray(10))), [''])
  t.strictSame(foundIn(join(gz(HOSTILE.subarray(0, 9)), '\0\0', gz(HOSTILE.subarray(9)))), [''])
})

t.test('a reader of streams has run what comes before a fault', async (t) => {
  // Hardly compressible, and always the same.
  const noise = createHash('shake256', { outputLength: 5000 }).digest()
  for (const packed of [deflateSync(join(HOSTILE, noise)), gz(join(HOSTILE, noise))]) {
    t.strictSame(foundIn(packed.subarray(0, -500)), [''], 'cut off')
    const wrong = Buffer.from(packed)
    wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
    t.strictSame(foundIn(wrong), [''], 'another checksum')
    t.strictSame(foundIn(join(packed.subarray(0, -500), '\xff'.repeat(40))), [''], 'damaged')
  }
})

t.test('what unpacks to more than is looked into is read as far as that', async (t) => {
  const bomb = gz(join(HOSTILE, Buffer.alloc(4_000_000)))
  const report = scanned(bomb, { maxEntryBytes: 1_000_000 })
  t.equal(report.verdict, 'dangerous')
  t.match(report.notes.join(), 'it was unpacked in part only')
  const harmless = gz(join(pickle('N'), Buffer.alloc(4_000_000)))
  t.equal(scanned(harmless, { maxEntryBytes: 1_000_000 }).verdict, 'refused')
})

const inZip = (name: string, bytes: Uint8Array, entry: Partial<ZipEntry> = {}): Buffer =>
  zip([{ name, bytes, ...entry }])

t.test('files in files are looked into, and say where they lie', async (t) => {
  t.strictSame(foundIn(inZip('a.zip', inZip('b.pkl', HOSTILE))), ['a.zip!b.pkl'])
  t.strictSame(foundIn(gz(tar('pickle', HOSTILE))), ['pickle'])
  t.strictSame(foundIn(inZip('a.npz', inZip('x.npy', npy(1, HOSTILE)))), ['a.npz!x.npy'])
  t.strictSame(foundIn(inZip('a.gz', gz(HOSTILE))), ['a.gz'])
  const nested = pickle('B', little(inZip('b', HOSTILE).length, 4), inZip('b', HOSTILE))
  // Readers of archives go by its last bytes.
  t.strictSame(foundIn(nested), ['b', '!2!b'])
  const packed = deflateRawSync(HOSTILE)
  const deflated = inZip('a', packed, { method: 8, sizeBytes: HOSTILE.length, storedBytes: packed.length }) // prettier-ignore
  t.strictSame(foundIn(deflated), ['a'])
})

t.test('files in files have a depth, and what lies deeper is not called clean', async (t) => {
  const nested = (depth: number): Buffer =>
    Array.from({ length: depth }).reduce<Buffer>((inner) => inZip('a', inner), HOSTILE)
  t.equal(scanned(nested(4)).verdict, 'dangerous')
  const deep = scanned(nested(5))
  t.equal(deep.verdict, 'refused')
  t.match(deep.notes.join(), 'is nested too deep to be looked into')
})

t.test('an archive is read as any of its readers reads it', async (t) => {
  const archive = inZip('a', HOSTILE)
  const plain = archive.subarray(0, -98)
  const end = archive.subarray(-22)
  t.strictSame(foundIn(join('PK\x03\x04', 'junk'.repeat(20), archive)), ['a'], 'bytes before it')
  t.strictSame(foundIn(join(plain, end)), ['a'], 'no ZIP64 record')
  t.strictSame(foundIn(join('MZ', plain, end)), ['a'], 'no ZIP64 record, bytes before it')
  t.strictSame(foundIn(join(archive, 'behind')), ['a'], 'bytes behind it')
  const lying = Buffer.from(archive)
  lying.writeBigUInt64LE(7n, lying.length - 42 + 8)
  t.strictSame(foundIn(lying), ['a'], 'a locator that leads elsewhere')
  const two = zip([
    { name: 'data.pkl', bytes: pickle('N') },
    { name: 'data.pkl', bytes: HOSTILE },
  ])
  t.strictSame(foundIn(two), ['data.pkl'], 'a name twice')
  t.strictSame(foundIn(inZip('a\0b', HOSTILE)), ['a\\u{0}b'], 'a NUL in a name')
  t.strictSame(foundIn(inZip('a', HOSTILE, { crc32: 1 })), ['a'], 'a wrong checksum')
  t.strictSame(foundIn(inZip('a', HOSTILE, { local: { name: 'b' } })), ['a'], 'two names')
})

t.test('what can’t be unpacked is told', async (t) => {
  t.match(scanned(inZip('a', HOSTILE, { method: 14 })).notes.join(), 'a is compressed in a way')
  t.match(scanned(inZip('a', HOSTILE, { flags: 0x809 })).notes.join(), 'a is encrypted')
  t.match(scanned(inZip('a', HOSTILE, { method: 8 })).notes.join(), 'a was unpacked in part only')
})

t.test(
  'members that lie over one another, and too many, cost no more than there is to read',
  async (t) => {
    const entries = Array.from({ length: 2000 }, (_, i) => ({ name: `m${i}`, bytes: pickle('N') }))
    const archive = zip(entries)
    const first = scanned(archive, { maxMembers: 1000 })
    t.match(first.notes.join(), 'it holds more files than are looked into')
    t.match(scanned(archive, { maxReadBytes: 5000 }).notes.join(), 'there is too much to read')
    t.match(scanned(archive, { maxRecords: 1000 }).notes.join(), 'it has more members than are looked') // prettier-ignore
    t.equal(first.verdict, 'refused')
  },
)

t.test(
  'what is compressed in ways that are not unpacked is never clean, and says so',
  async (t) => {
    for (const [what, begin] of [
      ['bzip2', 'BZh9'],
      ['xz', '\xfd7zXZ\0'],
      ['zstd', '\x28\xb5\x2f\xfd'],
    ] as const) {
      const { verdict, notes } = scanned(join(begin, 'x'.repeat(50)))
      t.equal(verdict, 'refused')
      t.ok(notes.includes(`it is ${what}, which is not unpacked here`), what)
    }
  },
)
