import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { createPickleWatch } from '../../src/sidecars/pickle-watch.ts'
import { pickles } from '../attacks/pickles.ts'
import { chunksOf } from '../safetensors/verdicts.ts'
import { latin1 } from './fixture.ts'

/** Where the import is; undefined when there is none. */
function importIn(
  text: Uint8Array,
  lengths: readonly number[] = [text.length],
): number | undefined {
  const watch = createPickleWatch()
  let position = 0
  for (const chunk of chunksOf(text, lengths)) {
    const at = watch.read(chunk)
    if (at !== -1) return position + at
    position += chunk.length
  }
  return watch.end() ? position : undefined
}

t.test('a pickle of any protocol is found at its import', async (t) => {
  for (const [protocol, pickle] of pickles('true').entries()) {
    const at = protocol < 4 ? pickle.indexOf('\n') : pickle.indexOf(0x93)
    t.equal(importIn(pickle), at, `protocol ${protocol}`)
    t.equal(importIn(pickle, [1]), at, `protocol ${protocol}, byte by byte`)
  }
})

const CALL = "cos\nsystem\n(S'true'\ntR"
t.test('what stands before it, and what is done with it, hides no import', async (t) => {
  for (const pickle of [
    `N0${CALL}`,
    `N0`.repeat(50_000) + CALL,
    `((((1111${CALL}`,
    `V${'some text '.repeat(1000)}\n0${CALL}`,
    `I1\n.${CALL}`,
    `N.N.(dp0\n.${CALL}`,
    `]N}000${CALL}`,
    `]Nb0${CALL}`,
    ...[
      'I0x10',
      'I0b1',
      'I\x0c1',
      'I1_0',
      'L0o7L',
      'L\x0b1L',
      'F\x0c1',
      'F1_0.5',
      'F-nan',
      'I01',
    ].map((number) => `${number}\n0${CALL}`),
    `I1\np\x0c1\n0${CALL}`,
    `I1\np0x1\n0g1_0\n0${CALL}`,
    'cos\nenviron\n(lp0\na.',
    "cos\nenviron\nS'LD_PRELOAD'\nS'x.so'\ns.",
    'cthis\ns\n.',
    'N0cthis\ns\n.',
    'cthis\nwhatever else\n',
    'cthis\n\n',
    'cthis.and so on, in prose\n',
    'c.this\nx\n',
    'c\u{e9}t\u{e9}\nx\n',
    'crun-me\nx\n',
    'cthisX',
    'cthis ',
    'cthis',
    'ithis\ns\n',
    "(S'true'\nios\nsystem\n",
    'Vos\nVsystem\n\x93',
    'N0\x82\x01',
    `U ${' '.repeat(32)}0${CALL}`,
    `U ${'x'.repeat(31)}\xc20${CALL}`,
    '('.repeat(2000),
  ])
    for (const length of [1, pickle.length])
      t.not(importIn(latin1(pickle), [length]), undefined, JSON.stringify(pickle.slice(0, 60)))
})

t.test('what people write is no pickle', async (t) => {
  const root = new URL('../../', import.meta.url)
  for (const path of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs/policy.md'])
    t.equal(importIn(readFileSync(new URL(path, root))), undefined, path)
  for (const text of [
    '# A model\n\nIt does this.\n',
    'Copyright (c) 2024\nRedistribution and use …\nRb\n',
    'Is this a model?\nRight.\n',
    'In this folder are files.\ncheckpoint of a model\n',
    'checkpoint of a model\nthat was trained\nR\n',
    'copyright, all of it\n',
    'class,count\ncat,1\ndog,2\n',
    'id\tlabel\n0\tcat\n',
    'cff-version: 1.2.0\nmessage: x\n',
    'config: a\n',
    'checkpoints\r\nand more\r\n',
    '(c) Somebody\n',
    '(in short) it does\n',
    'N.B. this\n',
    '[PAD]\n[unused0]\n[CLS]\n[SEP]\nthe\ncat\nin\n##s\n',
    '#version: 0.2\ni n\nt h\nc o\n',
    "{% for message in messages %}\n{{ message['content'] }}\n{% endfor %}\n",
    '<unk>\n<s>\n</s>\n',
    'a\nable\nabout\ncar\ntree\n',
    'the\nof\nand\nin\ncar\n',
    '{"a": 1}\n',
    '*.safetensors filter=lfs diff=lfs merge=lfs -text\n',
    '',
  ])
    t.equal(importIn(Buffer.from(text), [3]), undefined, JSON.stringify(text))
})

t.test('a list of words whose first is a module’s name to Python is refused', async (t) => {
  t.equal(importIn(Buffer.from('car\ntree\n')), 3)
})

const opcode = fc.constantFrom(
  'cos\nsystem\n',
  'ios\nsystem\n',
  '(',
  'N',
  'I1\n',
  'L1L\n',
  'cnone at all\nx\n',
  'c\nx\n',
  'c.zz\nx\n',
  'czz.y z\nx\n',
  'P1\n',
  'Q',
  'e',
  'u',
  'b',
  '\x82A',
  'F1.5\n',
  "S'a'\n",
  'Vx\n',
  'p0\n',
  'g0\n',
  'K ',
  'M  ',
  'J    ',
  'G        ',
  't',
  'R',
  'o',
  'b',
  '0',
  '1',
  '2',
  'a',
  's',
  'd',
  'l',
  'e',
  'u',
  ']',
  '}',
  ')',
  '.',
  'q ',
  'r\x01\0\0\0',
  'h ',
  '\x80\x02',
  '\x81',
  '\x92',
  '\x93',
  '\x85',
  '\x86',
  '\x87',
  '\x88',
  '\x8f',
  '\x90',
  '\x91',
  '\x94',
  'U\x02ab',
  'X\x02\0\0\0ab',
  'C\x00',
  'T\x00\0\0\0',
  'B\x01\0\0\0a',
  '\x8a\x01\x02',
  '\x8c\x02os',
  '\x8d\x01\0\0\0\0\0\0\0a',
  'x',
  '\n',
)
/** Numbers as some reader of them takes them, or nearly. */
const number = fc
  .tuple(
    fc.constantFrom('', ' ', '\f', '\v', '\t', '\r', '-', '+', ' +'),
    fc.constantFrom('', '0x', '0X', '0o', '0b', '0'),
    fc.constantFrom(
      '0',
      '1',
      '00',
      '01',
      '1_0',
      '1__0',
      '_1',
      'f',
      '7',
      '1e5',
      '1.5',
      'nan',
      'inf',
      '',
    ),
    fc.constantFrom('', ' ', '\f', 'L', '\r', '_', ' L'),
  )
  .map((parts) => parts.join(''))
const numbered = fc
  .tuple(fc.constantFrom('I', 'L', 'F'), number, fc.constantFrom('0', 'p0\n0', '.'))
  .map(([code, digits, then]) => `${code}${digits}\n${then}`)
const put = number.map((digits) => `I1\np${digits}\n0`)
/** What leaves the stack as it was, so that many get to an import. */
const pushes = fc.oneof(
  numbered,
  put,
  fc.constantFrom(
    'N',
    'N0',
    '(1',
    'Vx\n',
    ']',
    '}N\x85',
    '(Nt',
    '(l',
    '(l0',
    '(dp0\n',
    'N.',
    'V\n0',
  ),
  fc.constantFrom("S'a'\n0", 'Sa\n0', '\x88\x94', ']Na', ']Nb', '(NNd', '](Ne', '}(NNu', '}NNs'),
)
const imports = fc.constantFrom(
  ...[
    'cos\nsystem\n)R',
    '(cos\nsystem\no',
    '(ios\nsystem\n',
    'ios\nsystem\n',
    'czz\ns\n.',
    'czz\n',
  ],
  ...['czz', 'czz ', 'czz\n\n', 'czz\nx y\n', 'c.zz\n', 'c.zz\nx\n', 'czz.y z\nx\n', 'c..zz\nx\n'],
  ...[
    'czz\r\nx\n',
    'c zz\nx\n',
    'czz!',
    'czz!\nx\n',
    'izz\nx',
    'i.zz\nx\n',
    'cz-z\nx\n',
    '(izz.a b\n\n',
  ],
  ...[
    "cos\nenviron\nS'a'\nS'b'\ns.",
    'cos\nenviron\nNa.',
    'cos\nx\n(NNu',
    'cos\nx\n(Ne',
    'cos\nx\nNb',
  ],
  ...['Vos\nVsystem\n\x93', 'Vzz\nVx\n\x93)\x81', 'c\u00c3\u00a9\nx\n', '\x82A', '\x83A\0'],
)
const pickle = fc
  .tuple(
    fc.array(fc.oneof(pushes, opcode), { maxLength: 4 }),
    fc.oneof(imports, opcode),
    fc.array(opcode, { maxLength: 9 }),
  )
  .map((parts) => latin1(parts.flat().join('')))

/** Loads each pickle of its input with both of Python's unpicklers, and says whether one of them would import. */
const LOAD = `
import copyreg, io, pickle, re, sys
class Imported(BaseException): pass
class Finder:
    def find_spec(name, path=None, target=None):
        if re.fullmatch(r'[\\w-]+', name.rpartition('.')[2]): raise Imported
# What reading a pickle itself imports, it has then.
for codec in 'ascii', 'latin1', 'utf-8', 'raw-unicode-escape': b'a'.decode(codec)
sys.meta_path.insert(0, Finder)
copyreg.add_extension('zz', 'x', ord('A'))
def loader(base):
    class Loader(base):
        def find_class(self, module, name):
            if module in sys.modules: raise Imported
            return super().find_class(module, name)
    return Loader
loaders = [loader(pickle.Unpickler), loader(pickle._Unpickler)]
for line in sys.stdin:
    imported = 0
    for load in loaders:
        stream = io.BytesIO(bytes.fromhex(line))
        try:
            while True: load(stream).load()
        except Imported: imported = 1
        except Exception: pass
    print(imported)
`

t.test('whatever Python’s unpicklers would import is found', async (t) => {
  const files = fc.sample(pickle, { seed: 42, numRuns: 20_000 })
  const input = files.map((file) => `${file.toString('hex')}\n`).join('')
  const { status, stdout, stderr } = spawnSync('python3', ['-c', LOAD], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
  if (status !== 0) {
    t.comment(`NOT COMPARED: there is no python3 here to load the pickles with: ${stderr}`)
    t.pass('the comparison needs Python, which is not a dependency of the registry')
    return
  }
  const imported = stdout.split('\n').slice(0, -1)
  t.equal(imported.length, files.length)
  const missed = files.filter((file, i) => imported[i] === '1' && importIn(file) === undefined)
  t.strictSame(
    missed.map((file) => file.toString('latin1')),
    [],
  )
  const imports = imported.filter((word) => word === '1').length
  const found = files.filter((file) => importIn(file) !== undefined).length
  t.comment({ files: files.length, imports, found })
  t.ok(imports > 2000, 'there was something to find')
})
