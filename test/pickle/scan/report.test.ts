import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { call, checkpoint, dict, FLOATS, global, GOOD, int, join, legacy, list, little, pickle, records, tensor, text, tuple, zip } from '../../../bench/fuzz-pickle/assembler.ts' // prettier-ignore
import { SCAN_LIMITS } from '../../../src/pickle/scan/limits.ts'
import { scan, type ScanReport } from '../../../src/pickle/scan/report.ts'
import { sourceOfBytes } from '../../../src/pickle/source.ts'
import { writeSafetensors } from '../../../src/safetensors/write.ts'

const FOLDER = new URL('../../fixtures/legacy/', import.meta.url)
const real = (name: string): Buffer => readFileSync(new URL(name, FOLDER))

const scanned = (bytes: Uint8Array, limits: Partial<typeof SCAN_LIMITS> = {}): ScanReport =>
  scan(sourceOfBytes(Buffer.from(bytes)), { ...SCAN_LIMITS, ...limits })

const judged = (bytes: Uint8Array): string => {
  const { format, verdict } = scanned(bytes)
  return `${format} ${verdict}`
}

const SYSTEM = call('os', 'system', text('id'))
const SAFETENSORS = Buffer.from(writeSafetensors([{ name: 'w', dtype: 'F32', shape: [6], bytes: FLOATS }], {})) // prettier-ignore

t.test('a file is clean where all of it was read and is what it should be', async (t) => {
  t.equal(judged(GOOD), 'torch_zip clean')
  t.equal(judged(legacy()), 'torch_legacy clean')
  t.equal(judged(SAFETENSORS), 'safetensors clean')
  t.equal(scanned(SAFETENSORS).hasPickle, false)
  t.equal(scanned(GOOD).hasPickle, true)
  t.equal(scanned(GOOD).sha256, createHash('sha256').update(GOOD).digest('hex'))
  t.equal(scanned(join('anything')).sha256, createHash('sha256').update('anything').digest('hex'))
})

t.test('which part of it are the weights is not asked', async (t) => {
  t.equal(judged(checkpoint(dict({ model: dict({ a: tensor() }), net: dict({ a: tensor() }) }))), 'torch_zip clean') // prettier-ignore
  t.equal(judged(checkpoint(tensor())), 'torch_zip clean', 'torch.save of a tensor')
  t.equal(judged(checkpoint(list(tensor()))), 'torch_zip clean')
  const damaged = Buffer.from(checkpoint(tensor()))
  damaged.writeUInt8(9, damaged.indexOf(FLOATS))
  t.equal(judged(damaged), 'torch_zip refused', 'its numbers are judged all the same')
})

t.test('what is damaged is refused, and says why', async (t) => {
  for (const [what, bytes] of Object.entries({
    'safetensors cut off': SAFETENSORS.subarray(0, -1),
    'safetensors with bytes behind': join(SAFETENSORS, 'x'),
    'a checkpoint cut off': GOOD.subarray(0, -1),
    'a storage changed': Buffer.from(GOOD).fill(9, GOOD.indexOf(FLOATS), GOOD.indexOf(FLOATS) + 1),
    'an old one cut off': legacy().subarray(0, -1),
    'an old one with bytes behind': join(legacy(), 'x'),
  })) {
    const { verdict, notes, findings } = scanned(bytes)
    t.equal(verdict, 'refused', what)
    t.strictSame(findings, [], what)
    t.ok(notes.length > 0, what)
  }
})

t.test('harmless pickles are refused, for they are no weights', async (t) => {
  for (const bytes of [pickle(dict({ a: int(1) })), join('(dp0\n.'), join("(lp0\nS'a'\np1\na.")]) {
    const { verdict, findings, hasPickle, format } = scanned(bytes)
    t.strictSame([format, verdict, findings, hasPickle], ['pickle', 'refused', [], true])
  }
  t.strictSame(judged(join('# just text\n')), 'unknown refused')
  t.strictSame(judged(Buffer.alloc(0)), 'empty refused')
})

t.test(
  'what torch wrote is clean, or refused where there is more in it than weights',
  async (t) => {
    const refused = ['complex128', 'complex32', 'meta', 'module', 'namespace', 'nested-tensor', 'program', 'protocol-4', 'quantized', 'quantized-per-channel', 'sparse', 'sparse-rows'] // prettier-ignore
    for (const name of readdirSync(FOLDER).filter((each) => each.endsWith('.pt'))) {
      const wanted = refused.includes(name.slice(0, -'.pt'.length)) ? 'refused' : 'clean'
      t.equal(scanned(real(name)).verdict, wanted, name)
    }
    t.match(scanned(real('program.pt')).notes.join(), 'it is a TorchScript program')
    t.match(scanned(real('module.pt')).findings[0], { global: 'torch.nn.modules.linear.Linear', via: 'NEWOBJ', isAttack: false }) // prettier-ignore
  },
)

t.test('a program of TorchScript with a call in a pickle is dangerous', async (t) => {
  const entries = [
    ...records(pickle(dict({ w: tensor() }))),
    { name: 'archive/constants.pkl', bytes: pickle(SYSTEM) },
  ]
  const { verdict, findings } = scanned(zip(entries))
  t.equal(verdict, 'dangerous')
  t.strictSame(findings.map(({ entry }) => entry), ['archive/constants.pkl']) // prettier-ignore
})

t.test('a checkpoint that is an archive of tar as well is no checkpoint', async (t) => {
  // torch.load asks for tar before it asks for its own legacy format, and runs the member named `pickle`.
  const first = legacy().subarray(0, 21)
  const head = Buffer.alloc(512)
  join(first, '\x80\x02X', little(512 - first.length - 7, 4)).copy(head)
  head.write('0000644\0', 100)
  head.write('00000001000\0', 124)
  head.write(' '.repeat(8), 148)
  const sum = head.reduce((total, byte) => total + byte, 0)
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const system = join(head.subarray(first.length), '.')
  const stream = legacy({ system })
  t.ok(stream.subarray(0, 512).equals(head), 'the system’s text fills a block')
  const { verdict, notes } = scanned(stream)
  t.equal(verdict, 'refused')
  t.match(notes.join(), 'it looks like tar, whatever else it looks like')
  t.equal(scanned(legacy({ system: pickle(text('x'.repeat(500))) })).verdict, 'clean')
})

t.test('it goes on after each finding', async (t) => {
  const two = pickle(SYSTEM, '0', call('posix', 'popen', text('ls')), '0', global('a', 'b'))
  t.strictSame(
    scanned(two).findings.map(({ global, via, invoked }) => [global, via, invoked]),
    [['os.system', 'REDUCE', true], ['posix.popen', 'REDUCE', true], ['a.b', 'GLOBAL', false]], // prettier-ignore
  )
  t.strictSame(scanned(two).findings[0], {
    entry: '',
    offset: 22,
    global: 'os.system',
    via: 'REDUCE',
    invoked: true,
    isAttack: true,
    argsPreview: '("id")',
  })
})

t.test('what no pickler writes is told, and read on', async (t) => {
  const short = join('\x80\x04\x95', little(1, 8), SYSTEM, '.')
  const { notes, verdict } = scanned(short)
  t.match(notes.join(), 'it has a frame that ends within an argument at byte 11')
  t.equal(verdict, 'dangerous')
})

t.test('a thousand harmless names hide no attack', async (t) => {
  const many = pickle(join(global('argparse', 'Namespace'), '0').toString('latin1').repeat(50), SYSTEM) // prettier-ignore
  const { findings, verdict } = scanned(many, { maxFindings: 10 })
  t.equal(verdict, 'dangerous')
  t.equal(findings.length, 10)
  t.equal(findings[0]?.global, 'os.system')
  const attacks = pickle(join(SYSTEM, '0').toString('latin1').repeat(50), 'N')
  t.equal(scanned(attacks, { maxFindings: 10 }).findings.length, 10)
  t.match(scanned(attacks, { maxFindings: 10 }).notes.join(), 'has more findings than are told')
})

t.test('a scan costs no more than its limits, and what it left out is not clean', async (t) => {
  const LEFT: readonly (readonly [Uint8Array, Partial<typeof SCAN_LIMITS>, string])[] = [
    [pickle('N0'.repeat(500), 'N'), { maxOpcodes: 100 }, 'has more than 100 opcodes'],
    [pickle('N0'.repeat(500), 'N'), { maxAllOpcodes: 100 }, 'has more opcodes than are looked into'],
    [join('N.'.repeat(500)), { maxPickles: 100 }, 'holds more pickles than are looked into'],
    [pickle(')'.repeat(500)), { maxValues: 100 }, 'has too many values on its stack'],
    [pickle('('.repeat(500)), { maxValues: 100 }, 'has too many marks open'],
    [pickle('N', ...Array.from({ length: 200 }, (_, i) => join('q', little(i, 1)))), { maxMemo: 100 }, 'remembers too many values'], // prettier-ignore
    [pickle(text('x'.repeat(5000))), { maxEntryBytes: 1000 }, 'is a pickle of more than 1000 bytes'],
  ] // prettier-ignore
  for (const [bytes, limits, wanted] of LEFT) {
    const { verdict, notes } = scanned(bytes, limits)
    t.equal(verdict, 'refused', wanted)
    t.match(notes.join(), wanted)
  }
  // A list that holds itself twice, thirty times over, handed to a call.
  const laughs = pickle(global('collections', 'OrderedDict'), ']q\0', '(h\0h\0e'.repeat(30), '\x85R') // prettier-ignore
  t.equal(scanned(laughs).verdict, 'refused')
  const calls = pickle('((', 'N'.repeat(1000), 'tq\x01t0', 'ctorch\nSize\nh\x01\x85R0'.repeat(200), 'N') // prettier-ignore
  t.match(scanned(calls, { maxOpcodes: 10_000 }).notes.join(), 'has arguments that are too entangled') // prettier-ignore
  const { maxNesting, maxEntryBytes } = SCAN_LIMITS
  t.strictSame([maxNesting, maxEntryBytes], [4, 2 ** 26])
})

t.test('an archive that the scan did not read whole is not clean', async (t) => {
  t.equal(scanned(GOOD, { maxMembers: 3 }).verdict, 'refused')
  t.equal(scanned(checkpoint(dict({ w: tensor(), x: tuple(int(1)) })), { maxReadBytes: 100 }).verdict, 'refused') // prettier-ignore
})

t.test('it never throws, whatever the bytes', async (t) => {
  for (const file of [GOOD, legacy(), SAFETENSORS, real('module.pt')])
    for (let length = 0; length < file.length; length += Math.ceil(file.length / 40))
      t.ok(scanned(file.subarray(0, length)).sha256)
})
