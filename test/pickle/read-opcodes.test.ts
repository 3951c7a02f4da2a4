import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { OPCODES } from '../../src/pickle/opcodes.ts'
import { PickleError } from '../../src/pickle/pickle-error.ts'
import { type Argument, readInstruction } from '../../src/pickle/read-opcodes.ts'
import { join, little } from '../../bench/fuzz-pickle/assembler.ts'

const read = (bytes: Uint8Array, offset = 0) => readInstruction(bytes, offset, DEFAULT_LIMITS)

function failure(bytes: Uint8Array, limits = DEFAULT_LIMITS): string {
  try {
    readInstruction(bytes, 0, limits)
  } catch (error) {
    if (error instanceof PickleError) return `${error.offset}: ${error.message}`
    throw error
  }
  return 'none'
}

const CASES: readonly (readonly [string, string, Argument])[] = [
  ['N', 'NONE', undefined],
  ['\x80\x02', 'PROTO', 2n],
  ['K\xff', 'BININT1', 255n],
  ['M\xff\xfe', 'BININT2', 0xfeffn],
  ['J\xff\xff\xff\xff', 'BININT', -1n],
  ['J\x00\x00\x00\x80', 'BININT', -(2n ** 31n)],
  ['j\xff\xff\xff\xff', 'LONG_BINGET', 2n ** 32n - 1n],
  ['\x95\xff\xff\xff\xff\xff\xff\xff\xff', 'FRAME', 2n ** 64n - 1n],
  ['\x8a\x00', 'LONG1', 0n],
  ['\x8a\x01\x80', 'LONG1', -128n],
  ['\x8a\x02\xff\x00', 'LONG1', 255n],
  ['\x8a\x02\x00\x80', 'LONG1', -32768n],
  ['\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19', 'LONG1', 0x1950a86a20f9469cfc6cn],
  ['\x8b\x02\x00\x00\x00\x00\x01', 'LONG4', 256n],
  ['G\x3f\xf8\x00\x00\x00\x00\x00\x00', 'BINFLOAT', 1.5],
  ['X\x03\x00\x00\x00\xe2\x82\xac', 'BINUNICODE', '€'],
  ['X\x03\x00\x00\x00\xef\xbb\xbf', 'BINUNICODE', '\ufeff'],
  ['\x8c\x01a', 'SHORT_BINUNICODE', 'a'],
  ['\x8d\x01\x00\x00\x00\x00\x00\x00\x00a', 'BINUNICODE8', 'a'],
  ['U\x01a', 'SHORT_BINSTRING', 'a'],
  ['T\x01\x00\x00\x00a', 'BINSTRING', 'a'],
  ['C\x02\x00\xff', 'SHORT_BINBYTES', Buffer.of(0, 255)],
  ['I12\n', 'INT', '12'],
  ['cos\nsystem\n', 'GLOBAL', { module: 'os', name: 'system' }],
  ['c\n\n', 'GLOBAL', { module: '', name: '' }],
  ['i__builtin__\neval\n', 'INST', { module: '__builtin__', name: 'eval' }],
]

t.test('an instruction is read with its argument, and where it ends', async (t) => {
  for (const [bytes, name, argument] of CASES) {
    const instruction = read(join('..', bytes, 'N'), 2)
    t.strictSame(
      { ...instruction, argument: undefined },
      { name, offset: 2, end: 2 + bytes.length, argument: undefined },
      name,
    )
    t.strictSame(instruction.argument, argument, name)
  }
})

t.test('every prefix of an instruction ends too early, and is not read beyond', async (t) => {
  t.equal(failure(Buffer.alloc(0)), '0: ends without STOP')
  for (const [bytes, name] of CASES)
    for (let length = 1; length < bytes.length; length += 1)
      t.match(failure(join(bytes.slice(0, length))), /^0: (?:ends|has an argument without)/, name)
})

t.test('a byte that is no opcode is told', async (t) => {
  t.equal(OPCODES.size, 68)
  for (let code = 0; code < 256; code += 1)
    if (!OPCODES.has(code))
      t.match(failure(Buffer.from([code])), /^0: has the unknown opcode 0x[0-9a-f]{2}$/)
})

t.test('a length beyond the pickle or its limit is refused before anything is made', async (t) => {
  for (const bytes of [
    'X\xff\xff\xff\xff',
    '\x8d\xff\xff\xff\xff\xff\xff\xff\xff',
    '\x8e\xff\xff\xff\xff\xff\xff\xff\xff',
    'B\xff\xff\xff\xff',
    '\x8b\xff\xff\xff\xff',
    'T\x00\x00\x00\x80',
    '\x96\x00\x00\x00\x00\x00\x00\x00\x80',
  ])
    // prettier-ignore
    t.match(failure(join(bytes)), /^0: has an argument of \d+ bytes; at most \d+ are read$/)
  t.equal(failure(join('X\x00\x00\x10\x00')), '0: ends within an argument')
  t.match(failure(join('X\x01\x00\x10\x00')), /of 1048577 bytes; at most 1048576/)
  t.equal(failure(join('B\x00\x00\x00\x04')), '0: ends within an argument')
  t.match(failure(join('B\x01\x00\x00\x04')), /at most 67108864/)
  t.match(failure(join('\x8b', little(4097, 4), '\0'.repeat(4097))), /at most 4096/)
  const limits = { maxStringBytes: 2, maxBytes: 3 }
  t.match(failure(join('\x8c\x03abc'), { ...DEFAULT_LIMITS, ...limits }), /at most 2/)
  t.match(failure(join('C\x04abcd'), { ...DEFAULT_LIMITS, ...limits }), /at most 3/)
})

t.test('text is UTF-8', async (t) => {
  for (const bytes of ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xf4\x90\x80\x80', '\xe2\x82']) {
    t.equal(failure(join('X', little(bytes.length, 4), bytes)), '0: has a string that is not UTF-8')
    t.equal(failure(join('c', bytes, '\na\n')), '0: has a string that is not UTF-8')
  }
})

t.test('a line has a limit', async (t) => {
  t.equal(failure(join('c', 'a'.repeat(1024 * 1024), '\na\n')), '0: has an argument without an end')
})

t.test(
  'a scan reads what Python reads and we don’t: any text, any number, long lines',
  async (t) => {
    const lenient = { ...DEFAULT_LIMITS, maxStringBytes: 2 ** 22, isLenient: true } as const
    const argument = (bytes: Uint8Array) => readInstruction(bytes, 0, lenient).argument
    t.equal(argument(join('X\x03\0\0\0a\xed\xa0')), 'a\ufffd\ufffd')
    t.equal(argument(join('\x8b', little(5000, 4), '\0'.repeat(5000))), undefined)
    t.equal(argument(join('\x8b', little(1, 4), '\x07')), 7n)
    t.equal(argument(join('V', 'a'.repeat(2 ** 21), '\n')), 'a'.repeat(2 ** 21))
    t.throws(() => argument(join('\x8b', little(5000, 4))), { message: 'ends within an argument' })
  },
)
