import { crc32 } from 'node:zlib'
import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { readTorchZip } from '../../src/pickle/torch-zip.ts'
import {
  checkpoint,
  dict,
  FLOATS,
  GOOD,
  join,
  little,
  pickle,
  records,
  tensor,
  zip,
  type ZipEntry,
  type ZipFacts,
} from '../../bench/fuzz-pickle/assembler.ts'
import { converted, refusal, refused, withSource } from './converting.ts'

const OBJECT = pickle(dict({ weight: tensor() }))
const RECORDS = records(OBJECT)

/** The records of a good archive, some of them changed; undefined for one that goes. */
const changed = (changes: Readonly<Record<string, Partial<ZipEntry> | undefined>>): ZipEntry[] =>
  RECORDS.flatMap((record) => {
    const own = record.name.slice('archive/'.length)
    if (!(own in changes)) return [record]
    return changes[own] === undefined ? [] : [{ ...record, ...changes[own] }]
  })

const renamed = (change: (name: string) => string): ZipEntry[] =>
  RECORDS.map((record) => ({ ...record, name: change(record.name) }))

const read = (file: Uint8Array) =>
  withSource(file, (source) => readTorchZip(source, DEFAULT_LIMITS))

t.test('an archive as torch writes it is read', async (t) => {
  const { root, records } = read(GOOD)
  t.equal(root, 'archive/')
  t.strictSame(
    [...records.keys()],
    RECORDS.map(({ name }) => name.slice('archive/'.length)),
  )
  const { begin, end, crc32: checksum } = records.get('data/0') ?? { begin: 0, end: 0, crc32: 0 }
  t.strictSame(GOOD.subarray(begin, end), FLOATS)
  t.equal(checksum, crc32(FLOATS))
  // What the assembler makes is what PyTorchFileWriter makes, or the attacks below would show little.
  t.equal(begin % 64, 0)
})

t.test('an archive of torch 1.13 has fewer records', async (t) => {
  const old = changed({
    '.format_version': undefined,
    '.storage_alignment': undefined,
    byteorder: undefined,
    '.data/serialization_id': undefined,
  })
  t.equal(converted(zip(old)).tensors, 1)
})

t.test('its folder may have spaces, dots and any letters', async (t) => {
  for (const folder of ['a b', 'v1.0', '..a', 'モデル', 'epoch=3-step=7'])
    t.equal(converted(zip(renamed((name) => name.replace('archive', folder)))).tensors, 1, folder)
})

t.test('a storage of nothing has no descriptor', async (t) => {
  const empty = dict({
    a: tensor({ key: '0', count: 0, shape: [0], strides: [1] }),
    b: tensor({ key: '1' }),
  })
  const file = checkpoint(empty, { 0: new Uint8Array(), 1: FLOATS })
  t.equal(converted(file).tensors, 2)
})

t.test(
  'sizes and places beyond 4 GiB stand in the ZIP64 field, which small ones may use too',
  async (t) => {
    const { length } = FLOATS
    const at = GOOD.indexOf('archive/data/0') - 30
    const sizes = [length, length, at].map((value) => little(value, 8))
    const large: ZipEntry[] = changed({
      'data/0': {
        sizeBytes: 0xffff_ffff,
        storedBytes: 0xffff_ffff,
        centralExtra: join(little(1, 2), little(24, 2), ...sizes),
        descriptor: join(
          'PK\x07\x08',
          little(crc32(FLOATS), 4),
          little(length, 8),
          little(length, 8),
        ),
      },
    })
    const inField = (bytes: Buffer): Buffer => {
      const entry = bytes.indexOf('archive/data/0') - 46
      bytes.fill(0xff, entry + 42, entry + 46)
      return bytes
    }
    t.equal(converted(zip(large, { directory: inField })).tensors, 1)
    const short = { centralExtra: join(little(1, 2), little(8, 2), little(length, 8)) }
    t.match(
      refused(
        zip(changed({ 'data/0': { sizeBytes: 0xffff_ffff, storedBytes: 0xffff_ffff, ...short } })),
      ),
      /^damaged: .*has no ZIP64 size/,
    )
  },
)

/** Each refused, and most of them read by torch. */
const DAMAGED: Readonly<Record<string, [readonly ZipEntry[], ZipFacts?]>> = {
  'a record twice': [[...RECORDS, { name: 'archive/data/0', bytes: FLOATS }]],
  'a name twice, but for its case': [[...RECORDS, { name: 'archive/DATA/0', bytes: FLOATS }]],
  'a record in other letters': [renamed((name) => name.replace('version', 'Version'))],
  'a second folder': [[...RECORDS, { name: 'other/data/1', bytes: FLOATS }]],
  'a file beside the folder': [[...RECORDS, { name: 'data.pkl', bytes: OBJECT }]],
  'the folder above': [renamed((name) => name.replace('archive', '..'))],
  'this folder': [renamed((name) => name.replace('archive', '.'))],
  'a folder with a backslash': [renamed((name) => name.replace('archive', 'C:\\a'))],
  'a folder with a control character': [renamed((name) => name.replace('archive', 'a\u0007'))],
  'a folder with a NUL': [renamed((name) => name.replace('archive', 'a\0'))],
  'a record outside of the folder': [[...RECORDS, { name: 'archive/../x', bytes: FLOATS }]],
  'a record above the data': [[...RECORDS, { name: 'archive/data/../0', bytes: FLOATS }]],
  'an absolute record': [[...RECORDS, { name: 'archive//data/0', bytes: FLOATS }]],
  'a backslash for a slash': [[...RECORDS, { name: 'archive/data\\1', bytes: FLOATS }]],
  'a record of no kind': [[...RECORDS, { name: 'archive/notes.txt', bytes: FLOATS }]],
  'a storage whose key is no number': [[...RECORDS, { name: 'archive/data/x', bytes: FLOATS }]],
  'a key of 21 digits': [[...RECORDS, { name: `archive/data/${'1'.repeat(21)}`, bytes: FLOATS }]],
  'a storage that nothing names': [[...RECORDS, { name: 'archive/data/1', bytes: FLOATS }]],
  'a folder as a record': [[...RECORDS, { name: 'archive/', bytes: new Uint8Array() }]],
  'no pickle': [changed({ 'data.pkl': undefined, byteorder: {} })],
  'no storage': [changed({ 'data/0': undefined })],
  'a compressed record': [changed({ 'data/0': { method: 8 } })],
  'a record that is compressed where it lies': [changed({ 'data/0': { local: { method: 8 } } })],
  'a record of other flags': [changed({ 'data/0': { flags: 0x2808 } })],
  'an encrypted record': [changed({ 'data/0': { flags: 0x809 } })],
  'a record of other flags where it lies': [changed({ 'data/0': { local: { flags: 0x800 } } })],
  'another name where it lies': [changed({ 'data/0': { local: { name: 'archive/data/1' } } })],
  'a name that is no text': [RECORDS, { directory: (bytes) => bytes.fill(0xff, 46, 48) }],
  'another size where it lies': [changed({ 'data/0': { local: { sizeBytes: 20 } } })],
  'another CRC-32 where it lies': [changed({ 'data/0': { local: { crc32: 1 } } })],
  'no header where it lies': [changed({ 'data/0': { local: { signature: 0 } } })],
  'two sizes': [changed({ 'data/0': { storedBytes: 20 } })],
  'a shorter size than there is': [changed({ 'data/0': { sizeBytes: 20 } })],
  'a longer size than there is': [changed({ 'data/0': { sizeBytes: 25 } })],
  'a size beyond the file': [changed({ 'data/0': { sizeBytes: 0xffff_fffe } })],
  'a wrong descriptor': [changed({ 'data/0': { descriptor: Buffer.alloc(16) } })],
  'a descriptor of another checksum': [
    changed({
      'data/0': { descriptor: join('PK\x07\x08', little(1, 4), little(24, 4), little(24, 4)) },
    }),
  ],
  'no descriptor': [changed({ 'data/0': { descriptor: Buffer.alloc(0) } })],
  'a descriptor of half a size': [changed({ 'data/0': { descriptor: Buffer.alloc(12) } })],
  'a comment of a record': [changed({ 'data/0': { comment: 'a' } })],
  'a record that the directory does not name': [
    changed({
      'data.pkl': { before: GOOD.subarray(0, GOOD.indexOf('archive/.format_version') - 30) },
    }),
  ],
  'bytes between records': [changed({ 'data/0': { before: Buffer.from('MZ') } })],
  'bytes behind the last record': [
    changed({ '.data/serialization_id': { behind: Buffer.alloc(1) } }),
  ],
  'a record over another': [
    RECORDS,
    {
      directory: (bytes) => {
        bytes.copy(bytes, bytes.indexOf('archive/.format_version') - 4, 42, 46)
        return bytes
      },
    },
  ],
  'bytes in the directory': [RECORDS, { directory: (bytes) => join(bytes, '\0') }],
  'a directory cut off': [RECORDS, { directory: (bytes) => bytes.subarray(0, -1) }],
  'a directory of something else': [RECORDS, { directory: (bytes) => bytes.fill(0, 0, 4) }],
}

t.test('what torch reads in silence, or two readers read differently, is refused', async (t) => {
  for (const [what, [entries, facts]] of Object.entries(DAMAGED))
    t.match(refused(zip(entries, facts)), /^damaged: /, what)
})

t.test('every number of the end of the archive is as torch writes it', async (t) => {
  t.match(refused(zip(RECORDS, { tail: (bytes) => bytes })), /^not refused$/)
  // The versions of its writer and of its reader: 12 to 15.
  const fields = [0, 4, 16, 20, 24, 32, 40, 48, 56, 60, 64, 72, 76, 80, 82, 84, 86, 88, 92, 96]
  for (const at of fields)
    t.match(
      refused(zip(RECORDS, { tail: (bytes) => bytes.fill(bytes[at] === 1 ? 2 : 1, at, at + 1) })),
      /^(?:damaged|limit): /,
      `byte ${at} of the end`,
    )
})

t.test('a file that was cut off, or goes on, is refused', async (t) => {
  t.match(refused(join(GOOD, '\0')), /^damaged: it does not end/)
  t.match(refused(join(GOOD, GOOD)), /^damaged: /)
  for (let length = 60; length < GOOD.length; length += 37)
    t.match(refused(GOOD.subarray(0, length)), /^(?:damaged|not_a_checkpoint): /, `${length} bytes`)
})

t.test('wrong checksums are found, of every record', async (t) => {
  for (const { name, bytes } of RECORDS) {
    const own = name.slice('archive/'.length)
    t.match(
      refused(zip(changed({ [own]: { crc32: (crc32(bytes) ^ 1) >>> 0 } }))),
      /^damaged: .* is not what its CRC-32 says$/,
      own,
    )
  }
})

t.test('a storage of another size than the pickle says is refused', async (t) => {
  const object = dict({ weight: tensor({ count: 4, shape: [4], strides: [1] }) })
  for (const bytes of [8, 15, 17])
    t.match(refused(checkpoint(object, { 0: Buffer.alloc(bytes) })), /^damaged: the storage 0 has/)
})

t.test('TorchScript is refused as what it is', async (t) => {
  for (const name of [
    'constants.pkl',
    'code/__torch__.py',
    'model.json',
    'attributes.pkl',
    'bytecode.pkl',
    'extra/a',
  ])
    t.match(
      refused(zip([...RECORDS, { name: `archive/${name}`, bytes: FLOATS, method: 8 }])),
      /^not_a_checkpoint: it is a TorchScript program/,
      name,
    )
})

t.test('archives of something else are refused as none of torch', async (t) => {
  t.match(refused(zip([{ name: 'a.txt', bytes: FLOATS }])), /^not_a_checkpoint: /)
  t.match(refused(zip([])), /^not_a_checkpoint: /)
  t.match(refused(zip(renamed((name) => `/${name}`))), /^not_a_checkpoint: /, 'an absolute path')
  for (const before of ['PK\x03\x04', 'MZ', '#!/bin/sh\n'])
    t.match(
      refused(zip(changed({ 'data.pkl': { before: Buffer.from(before) } }))),
      /^not_a_/,
      before,
    )
  const beside = zip([
    { name: 'data.pkl', bytes: OBJECT },
    { name: 'a/version', bytes: FLOATS },
  ])
  withSource(beside, (source) => {
    t.match(
      refusal(() => readTorchZip(source, DEFAULT_LIMITS)),
      /^not_a_checkpoint: /,
    )
  })
})

t.test('the order of the directory means nothing', async (t) => {
  t.equal(converted(zip(RECORDS, { order: (entries) => entries.toReversed() })).tensors, 1)
})

t.test('records and bytes of the directory have a limit', async (t) => {
  t.match(refused(GOOD, { limits: { maxRecords: 6 } }), /^limit: its directory has 7 records/)
  t.match(refused(GOOD, { limits: { maxDirectoryBytes: 400 } }), /^limit: its directory/)
  t.equal(DEFAULT_LIMITS.maxRecords, 300_000)
  t.equal(DEFAULT_LIMITS.maxDirectoryBytes, 64 * 1024 * 1024)
})

t.test('notes of the archive are short', async (t) => {
  t.match(
    refused(zip(changed({ version: { bytes: Buffer.alloc(2000) } }))),
    /^limit: version has 2000 bytes/,
  )
  t.match(
    refused(zip(changed({ byteorder: { bytes: Buffer.from('middle') } }))),
    /^damaged: its byte order/,
  )
  t.match(refused(zip(changed({ version: undefined }))), /^damaged: it has no record .*version"/)
  for (const version of ['0', '11', '3x', '-1', ''])
    t.match(
      refused(zip(changed({ version: { bytes: Buffer.from(version) } }))),
      /^damaged: its version is/,
      version,
    )
  t.match(
    refused(zip(changed({ '.data/serialization_id': { bytes: Buffer.from([0x31, 0xd2]) } }))),
    /^damaged: its record .data.serialization_id is no plain text/,
  )
})

t.test('more records than 16 bits can count are read', async (t) => {
  const entries = Array.from({ length: 70_000 }, (_, i) => ({
    name: `archive/data/${i}`,
    bytes: new Uint8Array(),
  }))
  const file = zip([...RECORDS.filter(({ name }) => name !== 'archive/data/0'), ...entries])
  t.equal(read(file).records.size, 70_006)
})
