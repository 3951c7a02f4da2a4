// Pickles of opcodes in any order, with arguments that make sense often enough to come far.

import fc from 'fast-check'
import { type ArgumentKind, OPCODES } from '../../src/pickle/opcodes.ts'
import { dict, join, little, tensor, tensorOf } from './assembler.ts'

const GLOBALS = [
  ['collections', 'OrderedDict'],
  ['collections', 'Counter'],
  ['torch._utils', '_rebuild_tensor'],
  ['torch._utils', '_rebuild_tensor_v2'],
  ['torch._utils', '_rebuild_tensor_v3'],
  ['torch._utils', '_rebuild_parameter'],
  ['torch._utils', '_rebuild_parameter_with_state'],
  ['torch._utils', '_rebuild_qtensor'],
  ['torch._tensor', '_rebuild_from_type_v2'],
  ['torch', 'Size'],
  ['torch', 'device'],
  ['torch', 'Tensor'],
  ['torch', 'FloatStorage'],
  ['torch', 'LongStorage'],
  ['torch', 'float32'],
  ['torch.storage', 'UntypedStorage'],
  ['_codecs', 'encode'],
  ['builtins', 'set'],
  ['__builtin__', 'bytearray'],
  ['builtins', 'complex'],
  ['os', 'system'],
  ['argparse', 'Namespace'],
  ['copy_reg', '_reconstructor'],
] as const

const TEXTS = ['w', 'model', 'state_dict', 'latin1', 'storage', '0', 'cpu', '../0', 'os', 'system', '\ud7ff', ''] // prettier-ignore

const text = fc.constantFrom(...TEXTS).map((value) => Buffer.from(value))
const count = fc.oneof(
  { weight: 8, arbitrary: fc.nat(12) },
  { weight: 1, arbitrary: fc.constantFrom(255, 65_536, 2 ** 31 - 1) },
)
const number = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt(0n, 7n) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-1n, 255n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 63n, -(2n ** 63n)),
  },
)
const line = fc
  .constantFrom('1', '-1', '01', '1_0', '1L', 'x', "'os'", "'\\x6fs'", '\\u006fs', ' 2 ', '')
  .map((value) => join(value, '\n'))

const counted = (width: number, bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> =>
  fc
    .tuple(
      bytes,
      fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: count }),
    ) // prettier-ignore
    .map(([value, told]) => join(little(told ?? value.length, width), value))

const fixed = (width: number): fc.Arbitrary<Buffer> => number.map((value) => little(value, width))

const bytes = fc.uint8Array({ maxLength: 12 })

const ARGUMENTS: Readonly<Record<ArgumentKind, fc.Arbitrary<Uint8Array>>> = {
  none: fc.constant(Buffer.alloc(0)),
  uint8: fixed(1),
  uint16: fixed(2),
  uint32: fixed(4),
  uint64: fixed(8),
  int32: fixed(4),
  float64: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  long1: counted(1, bytes),
  long4: counted(4, bytes),
  bytes1: counted(1, bytes),
  bytes4: counted(4, bytes),
  bytes8: counted(8, bytes),
  text1: counted(1, text),
  text4: counted(4, text),
  text8: counted(8, text),
  string1: counted(1, text),
  string4: counted(4, text),
  line,
  global: fc.constantFrom(...GLOBALS).map(([module, name]) => join(module, '\n', name, '\n')),
}

/** Any opcode, those that build data more often than others. */
const opcode = fc
  .oneof(
    { weight: 1, arbitrary: fc.constantFrom(...OPCODES.keys()) },
    { weight: 3, arbitrary: fc.constantFrom(...Buffer.from('}])(N\x88KXusaetRbQqhc\x85\x86\x87', 'latin1')) }, // prettier-ignore
  )
  .chain((code) => {
    const { argument } = OPCODES.get(code) ?? { argument: 'none' }
    return ARGUMENTS[argument].map((bytes) => join(Buffer.from([code]), bytes))
  })

const view = fc.record({
  key: fc.constantFrom('0', '1'),
  of: fc.constantFrom('FloatStorage', 'ByteStorage', 'DoubleStorage', 'ComplexFloatStorage'),
  count: fc.constantFrom(6, 24, 3),
  offset: fc.nat(6),
  shape: fc.array(fc.nat(4), { maxLength: 3 }),
  strides: fc.array(fc.nat(4), { maxLength: 3 }),
})

/** What leaves one value on the stack. */
const value = fc.oneof(
  view.map(tensor),
  view.map((facts) => tensorOf('uint16', { ...facts, of: 'storage.UntypedStorage' })),
  fc.constantFrom('N', '\x88', 'K\x01', ']', '}', ')', 'X\x01\0\0\0a', 'ccollections\nOrderedDict\n)R').map((code) => join(code)), // prettier-ignore
)

const code = fc.oneof({ weight: 3, arbitrary: opcode }, { weight: 1, arbitrary: value })

/** The opcodes of a value, and then some. */
export const program: fc.Arbitrary<Buffer> = fc.oneof(
  fc.array(code, { maxLength: 40 }).map((codes) => join(...codes)),
  fc
    .tuple(fc.array(value, { minLength: 1, maxLength: 4 }), fc.array(code, { maxLength: 6 }))
    .map(([values, codes]) =>
      join(dict(Object.fromEntries(values.map((each, i) => [`w${i}`, each]))), ...codes),
    ),
)
