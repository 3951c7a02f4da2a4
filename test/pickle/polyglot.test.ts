import t from 'tap'
import { SCAN_LIMITS } from '../../src/pickle/scan/limits.ts'
import { scan } from '../../src/pickle/scan/report.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { call, join, little, text } from '../../bench/fuzz-pickle/assembler.ts'
import { converted, refused, withSource } from './converting.ts'

const HEADER_BYTES = 0x1958
const BEGIN = '{"__metadata__":{"k":"'

/**
 * Valid safetensors that is a pickle too: the length of the header begins with BINUNICODE, whose text reaches into the
 * header, where one SHORT_BINSTRING leads to the next and the last one into the tensor's bytes.
 */
function polyglot(code: Uint8Array): Buffer {
  const end = `"},"w":{"dtype":"U8","shape":[${code.length}],"data_offsets":[0,${code.length}]}}`
  const hops = `UZ${'b'.repeat(90)}`.repeat(69)
  const last = `Ut${'b'.repeat(116 - end.length)}`
  return join(little(HEADER_BYTES, 8), BEGIN, hops, last, end, code)
}

const RUN = join(call('os', 'system', text('id')), '.')

const verdictOf = (bytes: Uint8Array, limits: Partial<typeof SCAN_LIMITS> = {}): string =>
  withSource(bytes, (source) => scan(source, { ...SCAN_LIMITS, ...limits }).verdict)

t.test(
  'safetensors that would run code as a pickle is dangerous, and does not pass through',
  async (t) => {
    const hostile = polyglot(RUN)
    t.equal(validate(hostile).columns.count, 1)
    t.equal(verdictOf(hostile), 'dangerous')
    t.match(refused(hostile), /^pickle: it is safetensors, and a pickle that runs code too/)
  },
)

t.test('what is left unread for its size is never clean', async (t) => {
  for (const code of [
    join('B', little(2000, 4), Buffer.alloc(2000), RUN),
    join('X', little(2000, 4), Buffer.alloc(2000), RUN),
    join('\x8e', little(2000, 8), Buffer.alloc(2000), RUN),
    join('V', 'a'.repeat(2000), '\n', RUN),
    join('N0'.repeat(2000), RUN),
  ]) {
    const hostile = polyglot(code)
    t.equal(verdictOf(hostile), 'dangerous')
    t.equal(verdictOf(hostile, { maxBytes: 1000, maxStringBytes: 1000 }) === 'clean', false)
    t.equal(verdictOf(hostile, { maxEntryBytes: 7000 }), 'refused')
    t.equal(verdictOf(hostile, { maxOpcodes: 100 }) === 'clean', false)
  }
})

t.test('safetensors whose length is no more than the opcode of a string is clean', async (t) => {
  const harmless = polyglot(Buffer.alloc(50, 0xff))
  t.equal(verdictOf(harmless), 'clean')
  t.equal(converted(harmless).format, 'safetensors')
})

t.test(
  'a broken pickle that names or calls something before its break does not pass either',
  async (t) => {
    const str = (word: string): Buffer => call('builtins', 'str', join('C', little(word.length, 1), word), text('ascii')) // prettier-ignore
    for (const code of [
      join(str('os'), str('system'), '\x93', text('id'), '\x85R\xff'),
      'cthis\ns\n\xff',
      join('\x82\x01(', text('id'), 'tR\xff'),
      'cthis\ns\n.',
    ]) {
      const hostile = polyglot(join(code))
      t.not(verdictOf(hostile), 'clean')
      t.match(refused(hostile), /^pickle: it is safetensors, and /)
    }
  },
)
