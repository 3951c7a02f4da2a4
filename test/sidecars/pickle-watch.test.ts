import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { createPickleWatch } from '../../src/sidecars/pickle-watch.ts'
import { pickles } from '../attacks/pickles.ts'
import { chunksOf } from '../safetensors/verdicts.ts'
import { latin1 } from './fixture.ts'

/** Where the call is; undefined when there is none. */
function callIn(text: Uint8Array, lengths: readonly number[] = [text.length]): number | undefined {
  const watch = createPickleWatch()
  let position = 0
  for (const chunk of chunksOf(text, lengths)) {
    const at = watch.read(chunk)
    if (at !== -1) return position + at
    position += chunk.length
  }
  return undefined
}

t.test('a pickle of any protocol is found at its call', async (t) => {
  for (const [protocol, pickle] of pickles('true').entries()) {
    t.equal(callIn(pickle), pickle.length - 2, `protocol ${protocol}`)
    t.equal(callIn(pickle, [1]), pickle.length - 2, `protocol ${protocol}, byte by byte`)
  }
})

const CALL = "cos\nsystem\n(S'true'\ntR"
t.test('what stands before it, and how it calls, hides no call', async (t) => {
  for (const pickle of [
    `N0${CALL}`,
    `N0`.repeat(50_000) + CALL,
    `((((1111${CALL}`,
    `V${'some text '.repeat(1000)}\n0${CALL}`,
    `I1\n.${CALL}`,
    `N.N.(dp0\n.${CALL}`,
    `]N}000${CALL}`,
    "(S'true'\nios\nsystem\n",
    "(cos\nsystem\nS'true'\no",
    'cos\nsystem\nNb',
    'cos\nsystem\n)\x81',
    'cos\nsystem\n)}\x92',
    `U ${' '.repeat(32)}0${CALL}`,
    'Vos\nVsystem\n\x93)R',
    `U ${'x'.repeat(31)}\xc20${CALL}`,
    '('.repeat(2000),
  ])
    t.not(callIn(latin1(pickle)), undefined, JSON.stringify(pickle.slice(0, 60)))
})

t.test('what people write is no pickle', async (t) => {
  for (const text of [
    '# A model\n\nIt does this.\n',
    'Copyright (c) 2024\nRedistribution and use …\nRb\n',
    'Is this a model?\nRight.\n',
    'checkpoint of a model\nthat was trained\nR\n',
    '(c) Somebody\n',
    'N.B. this\n',
    '[PAD]\n[unused0]\n[CLS]\n',
    '<unk>\n<s>\n</s>\n',
    'car\ntree\nRiver\n',
    '{"a": 1}\n',
    '*.safetensors filter=lfs diff=lfs merge=lfs -text\n',
    '',
  ])
    t.equal(callIn(Buffer.from(text)), undefined, JSON.stringify(text))
})

const opcode = fc.constantFrom(
  'cos\nsystem\n',
  'ios\nsystem\n',
  '(',
  'N',
  'I1\n',
  'L1L\n',
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
/** What leaves the stack as a call wants it, so that many get that far. */
const pushes = fc.constantFrom(
  ...[
    'N',
    'N0',
    '(1',
    'Vx\n',
    'I1\n',
    ']',
    '}N\x85',
    '(Nt',
    '(l',
    '(dp0\n',
    'N.',
    "S'a'\n0",
    '\x88\x94',
  ],
)
const calls = fc.constantFrom(
  ...[
    'cos\nsystem\n)R',
    'cos\nsystem\n(tR',
    '(cos\nsystem\no',
    '(ios\nsystem\n',
    'cos\nsystem\nNb',
  ],
  ...['Vos\nVsystem\n\x93)\x81', 'cos\nsystem\n)}\x92', 'cos\nsystem\n2)R'],
)
const pickle = fc
  .tuple(
    fc.array(fc.oneof(pushes, opcode), { maxLength: 4 }),
    fc.oneof(calls, opcode),
    fc.array(opcode, { maxLength: 9 }),
  )
  .map((parts) => latin1(parts.flat().join('')))

/** Loads each pickle of its input with a class for a name, and says where that was called. */
const LOAD = `
import io, pickle, sys
class Found:
    def __new__(cls, *args): raise Called
    def __setstate__(self, state=None): raise Called
class Called(BaseException): pass
class Loader(pickle.Unpickler):
    def find_class(self, module, name): return Found
for line in sys.stdin:
    stream = io.BytesIO(bytes.fromhex(line))
    called = 0
    try:
        while True: Loader(stream).load()
    except Called: called = 1
    except Exception: pass
    print(called)
`

t.test('whatever Python’s unpickler would call is found', async (t) => {
  const files = fc.sample(pickle, { seed: 42, numRuns: 20_000 })
  const input = files.map((file) => `${file.toString('hex')}\n`).join('')
  const { status, stdout } = spawnSync('python3', ['-c', LOAD], {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
  if (status !== 0) {
    t.comment('NOT COMPARED: there is no python3 here to load the pickles with')
    t.pass('the comparison needs Python, which is not a dependency of the registry')
    return
  }
  const called = stdout.split('\n').slice(0, -1)
  t.equal(called.length, files.length)
  const missed = files.filter((file, i) => called[i] === '1' && callIn(file) === undefined)
  t.strictSame(
    missed.map((file) => file.toString('latin1')),
    [],
  )
  const calls = called.filter((word) => word === '1').length
  const found = files.filter((file) => callIn(file) !== undefined).length
  t.comment({ files: files.length, calls, found })
  t.ok(calls > 200, 'there was something to find')
})
