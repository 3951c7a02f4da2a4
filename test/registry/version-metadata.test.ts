import t from 'tap'
import {
  createMetadataBudget,
  mergeMetadata,
  metadataTroubles,
  warningOf,
} from '../../src/registry/version-metadata.ts'

const metadataWarnings = (...args: Parameters<typeof metadataTroubles>): readonly string[] =>
  metadataTroubles(...args).map(warningOf)

const plain = (metadata: object): object => ({ ...metadata })

t.test('a version has the keys on which its files agree, and the caller’s own', (t) => {
  const files = [
    { format: 'pt', epoch: '3', part: '1' },
    { format: 'pt', epoch: '3', part: '2' },
    { format: 'pt', epoch: '3' },
  ]
  t.same(plain(mergeMetadata(files, { loss: '0.1' })), {
    format: 'pt',
    epoch: '3',
    loss: '0.1',
  })
  t.same(plain(mergeMetadata([], { a: 'b' })), { a: 'b' })
  t.same(plain(mergeMetadata([{ a: 'b' }, {}], {})), {})
  t.end()
})

t.test('the caller may repeat a file and not contradict any', (t) => {
  const files = [{ part: '1' }, { part: '2' }]
  t.same(plain(mergeMetadata([{ a: 'b' }], { a: 'b' })), { a: 'b' })
  for (const part of ['1', '2', '3']) {
    t.throws(() => mergeMetadata(files, { part }), {
      code: 'METADATA_REFUSED',
      facts: { rule: 'contradicts_file', key: 'part' },
    })
  }
  t.end()
})

t.test('names that every object has are keys like any other', (t) => {
  const file = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>
  const merged = mergeMetadata([file], { toString: 'z' })
  t.same(Object.entries(merged), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
    ['toString', 'z'],
  ])
  t.same(plain(mergeMetadata([{}], { hasOwnProperty: 'z' })), { hasOwnProperty: 'z' })
  t.end()
})

t.test('the metadata of a version counts together: its files’ and its own', (t) => {
  const limits = { maxMetadataBytes: 6, maxMetadataKeys: 2 }
  const spend = createMetadataBudget(limits)
  spend({ ab: 'cd' })
  spend({ e: 'f' })
  const many = { code: 'METADATA_REFUSED', facts: { rule: 'max_metadata_keys', key: '' } }
  t.throws(() => {
    spend({ '': '' })
  }, many)
  const large = { code: 'METADATA_REFUSED', facts: { rule: 'max_metadata_bytes', key: 'e' } }
  t.throws(() => {
    createMetadataBudget(limits)({ e: 'fghijk' })
  }, large)
  t.end()
})

const NOW = new Date('2026-06-15T12:00:00Z')
const DATES: readonly (readonly [string, 'good' | 'is not a date' | 'lies ahead'])[] = [
  ['2026-06-15', 'good'],
  ['2026-06-15T12:00:00Z', 'good'],
  ['2026-06-15T12:01:00Z', 'good'],
  ['2026-06-15T12:01:01Z', 'lies ahead'],
  ['2026-06-15T14:00:00+02:00', 'good'],
  ['2026-06-15T14:00:00+0100', 'lies ahead'],
  ['2026-06-15 11:00:00.123456', 'good'],
  ['2026-06-15T11:00:00,5', 'good'],
  ['2026-06-15T11:00z', 'good'],
  ['2026-06-16T02:00:00', 'good'],
  ['2026-06-16T02:00:01', 'lies ahead'],
  ['2026-06-16', 'good'],
  ['2026-06-17', 'lies ahead'],
  ['2024-02-29', 'good'],
  ['2026-02-29', 'is not a date'],
  ['2026-13-01', 'is not a date'],
  ['2026-06-15T25:00:00Z', 'is not a date'],
  ['15.06.2026', 'is not a date'],
  ['Mon Jun 15 2026', 'is not a date'],
  ['1781524800', 'is not a date'],
  ['', 'is not a date'],
  [' 2026-06-15', 'is not a date'],
  [`2026-06-15${'0'.repeat(1000)}`, 'is not a date'],
]
for (const [text, verdict] of DATES) {
  t.test(`created_at ${JSON.stringify(text.slice(0, 40))}: ${verdict}`, (t) => {
    const warnings = metadataWarnings({ created_at: text }, '1', NOW)
    if (verdict === 'good') t.same(warnings, [])
    else t.ok(warnings.length === 1 && warnings[0]?.includes(verdict))
    t.ok((warnings[0] ?? '').length < 300)
    t.end()
  })
}

t.test('a version that says it is another is warned of', (t) => {
  t.same(metadataWarnings({ version: '1.0' }, '1.0', NOW), [])
  t.same(metadataWarnings({}, '1.0', NOW), [])
  t.equal(metadataWarnings({ version: '1' }, '1.0', NOW).length, 1)
  t.end()
})
