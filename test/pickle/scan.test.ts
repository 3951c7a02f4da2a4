import { readFileSync } from 'node:fs'
import t from 'tap'
import { SCAN_LIMITS } from '../../src/pickle/scan/limits.ts'
import { scan, type ScanReport } from '../../src/pickle/scan/report.ts'
import { pickles } from '../attacks/pickles.ts'
import {
  call,
  checkpoint,
  dict,
  global,
  GOOD,
  join,
  little,
  pickle,
  text,
  tuple,
  zip,
} from '../../bench/fuzz-pickle/assembler.ts'
import { withSource } from './converting.ts'

const LIMITS = {
  ...SCAN_LIMITS,
  maxFindings: 100,
  maxEntryBytes: 1024 * 1024,
  maxInflatedBytes: 1024 * 1024,
}

const scanned = (bytes: Uint8Array): ScanReport =>
  withSource(bytes, (source) => scan(source, LIMITS))

const verdict = (bytes: Uint8Array): string => scanned(bytes).verdict

/** What is called, and from where. */
const calls = (bytes: Uint8Array): readonly string[] =>
  scanned(bytes)
    .findings.filter(({ invoked }) => invoked)
    .map(
      ({ entry, via, global: name, argsPreview }) => `${entry} ${via} ${name}${argsPreview ?? ''}`,
    )

const SYSTEM = call('os', 'system', text('id'))

t.test(
  'pickles of every protocol that call a shell are dangerous, and say what with',
  async (t) => {
    for (const bytes of pickles('id')) {
      t.equal(verdict(bytes), 'dangerous')
      t.strictSame(calls(bytes), [' REDUCE os.system("id")'])
    }
  },
)

t.test('a checkpoint is clean, and one with a call beside its weights is not', async (t) => {
  t.equal(verdict(GOOD), 'clean')
  const hostile = checkpoint(dict({ weight: SYSTEM }))
  t.equal(verdict(hostile), 'dangerous')
  t.match(calls(hostile), [/data\.pkl REDUCE os\.system\("id"\)$/])
})

t.test('every way of calling is one', async (t) => {
  const id = text('id')
  for (const [via, code] of Object.entries({
    REDUCE: SYSTEM,
    INST: join('(', id, 'ios\nsystem\n'),
    OBJ: join('(', global('os', 'system'), id, 'o'),
    NEWOBJ_EX: join(global('os', 'system'), tuple(id), '}\x92'),
  })) {
    t.match(scanned(pickle(code)).findings.at(-1), { via, global: 'os.system', invoked: true }, via)
    t.equal(verdict(pickle(code)), 'dangerous', via)
  }
})

t.test('a name that is put together from the stack, and what it gives, are followed', async (t) => {
  const getattr = join(text('builtins'), text('getattr'), '\x93')
  const system = join(getattr, tuple(global('os', 'path'), text('system')), 'R')
  t.strictSame(calls(pickle(join(system, tuple(text('id')), 'R'))), [
    ' REDUCE builtins.getattr(os.path, "system")',
    ' REDUCE builtins.getattr("id")',
  ])
})

t.test('pickles behind and inside of others are read', async (t) => {
  const hostile = pickle(SYSTEM)
  t.equal(verdict(join(pickle('N'), hostile)), 'dangerous')
  const nested = join('B', Buffer.from([hostile.length, 0, 0, 0]), hostile)
  t.match(calls(pickle(nested)), [/^!2 REDUCE os\.system/])
})

t.test('what was called before the break is told', async (t) => {
  const broken = join(pickle(SYSTEM).subarray(0, -1), '\xff')
  t.strictSame(calls(broken), [' REDUCE os.system("id")'])
  t.match(scanned(broken).notes, [/looks like pickle/, /it has the unknown opcode 0xff/])
})

t.test('classes of plain data are refused, and not called attacks', async (t) => {
  const namespace = join(global('argparse', 'Namespace'), ')\x81', dict({ a: 'N' }), 'b')
  t.equal(verdict(pickle(namespace)), 'refused')
  const scalar = call('numpy.core.multiarray', 'scalar', 'N', 'N')
  t.equal(verdict(pickle(scalar)), 'refused')
})

t.test('a person is shown no sign that could pass for another', async (t) => {
  const [finding] = calls(pickle(call('os', 'system', text('\u202e\x1b[31m\0'))))
  t.equal(finding, ' REDUCE os.system("\\u{202e}\\u001b[31m\\u0000")')
})

t.test('numbers of a tensor that could be opcodes are no finding', async (t) => {
  const bytes = Buffer.from([0x80, 2, 0x83, 1, 2, 0x83, 3, 4, 0xff, 0xff])
  t.strictSame(scanned(zip([{ name: 'x/data/0', bytes }])).findings, [])
})

t.test('an archive that leads beyond its end is no fault of the scan', async (t) => {
  const end = join('PK\x05\x06', '\0'.repeat(6), '\x01\0', '\xff\0\0\0', '\xff\xff\xff\x7f', '\0\0')
  t.equal(verdict(end), 'refused')
  const lying = Buffer.from(GOOD)
  // The length of the last member's extra field, where it lies.
  lying.writeUInt16LE(0xffff, lying.lastIndexOf('PK\x03\x04') + 28)
  t.equal(verdict(lying), 'refused')
})

t.test('what the registry refuses by its first bytes is read here to its end', async (t) => {
  const hostile = readFileSync(new URL('../fixtures/other-formats/hostile.pt', import.meta.url))
  t.equal(verdict(hostile), 'dangerous')
  t.match(calls(hostile), [/data\.pkl REDUCE posix\.system/])
})

t.test('keys of the memo are one however they are written', async (t) => {
  for (const [first, second] of [
    ['000000000000000000000', '001'],
    ['+0', '+01'],
    ['-0', ' 1'],
    ['0\0x', '1\0'],
  ] as const) {
    const harmless = join(text('_codecs'), 'p0\n0', text('encode'), 'p1\n0')
    const hidden = join(text('os'), `p${first}\n0`, text('system'), `p${second}\n0`)
    const run = join('h\0h\x01\x93', tuple(text('id')), 'R')
    t.equal(verdict(pickle(harmless, hidden, run)), 'dangerous', first)
  }
})

t.test('what breaks after it named or called something is dangerous, or not clean', async (t) => {
  const str = (word: string): Buffer => call('builtins', 'str', join('C', little(word.length, 1), word), text('ascii')) // prettier-ignore
  const built = join(str('os'), str('system'), '\x93', tuple(text('id')), 'R\xff')
  t.equal(verdict(join('\x80\x04', built)), 'dangerous')
})
