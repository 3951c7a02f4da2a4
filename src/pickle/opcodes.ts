// The opcodes of Python's pickle protocols 0 to 5, as pickletools.py of CPython 3.14 lists them.

export type ArgumentKind =
  | 'none'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'int32'
  /** Big-endian, unlike all others. */
  | 'float64'
  /** A count of bytes in 1 or 4 bytes, then two's complement, little-endian. */
  | 'long1'
  | 'long4'
  /** A count in so many bytes, then the bytes. */
  | 'bytes1'
  | 'bytes4'
  | 'bytes8'
  /** The same, of UTF-8. */
  | 'text1'
  | 'text4'
  | 'text8'
  /** The same, of a str of Python 2: bytes that torch reads as UTF-8. */
  | 'string1'
  | 'string4'
  /** Up to the next line feed. */
  | 'line'
  /** Two of them: a module and a name in it. */
  | 'global'

/** [code, name, argument] */
const TABLE = [
  ['(', 'MARK', 'none'],
  ['.', 'STOP', 'none'],
  ['0', 'POP', 'none'],
  ['1', 'POP_MARK', 'none'],
  ['2', 'DUP', 'none'],
  ['F', 'FLOAT', 'line'],
  ['I', 'INT', 'line'],
  ['J', 'BININT', 'int32'],
  ['K', 'BININT1', 'uint8'],
  ['L', 'LONG', 'line'],
  ['M', 'BININT2', 'uint16'],
  ['N', 'NONE', 'none'],
  ['P', 'PERSID', 'line'],
  ['Q', 'BINPERSID', 'none'],
  ['R', 'REDUCE', 'none'],
  ['S', 'STRING', 'line'],
  ['T', 'BINSTRING', 'string4'],
  ['U', 'SHORT_BINSTRING', 'string1'],
  ['V', 'UNICODE', 'line'],
  ['X', 'BINUNICODE', 'text4'],
  ['a', 'APPEND', 'none'],
  ['b', 'BUILD', 'none'],
  ['c', 'GLOBAL', 'global'],
  ['d', 'DICT', 'none'],
  ['}', 'EMPTY_DICT', 'none'],
  ['e', 'APPENDS', 'none'],
  ['g', 'GET', 'line'],
  ['h', 'BINGET', 'uint8'],
  ['i', 'INST', 'global'],
  ['j', 'LONG_BINGET', 'uint32'],
  ['l', 'LIST', 'none'],
  [']', 'EMPTY_LIST', 'none'],
  ['o', 'OBJ', 'none'],
  ['p', 'PUT', 'line'],
  ['q', 'BINPUT', 'uint8'],
  ['r', 'LONG_BINPUT', 'uint32'],
  ['s', 'SETITEM', 'none'],
  ['t', 'TUPLE', 'none'],
  [')', 'EMPTY_TUPLE', 'none'],
  ['u', 'SETITEMS', 'none'],
  ['G', 'BINFLOAT', 'float64'],
  ['\x80', 'PROTO', 'uint8'],
  ['\x81', 'NEWOBJ', 'none'],
  ['\x82', 'EXT1', 'uint8'],
  ['\x83', 'EXT2', 'uint16'],
  ['\x84', 'EXT4', 'int32'],
  ['\x85', 'TUPLE1', 'none'],
  ['\x86', 'TUPLE2', 'none'],
  ['\x87', 'TUPLE3', 'none'],
  ['\x88', 'NEWTRUE', 'none'],
  ['\x89', 'NEWFALSE', 'none'],
  ['\x8a', 'LONG1', 'long1'],
  ['\x8b', 'LONG4', 'long4'],
  ['B', 'BINBYTES', 'bytes4'],
  ['C', 'SHORT_BINBYTES', 'bytes1'],
  ['\x8c', 'SHORT_BINUNICODE', 'text1'],
  ['\x8d', 'BINUNICODE8', 'text8'],
  ['\x8e', 'BINBYTES8', 'bytes8'],
  ['\x8f', 'EMPTY_SET', 'none'],
  ['\x90', 'ADDITEMS', 'none'],
  ['\x91', 'FROZENSET', 'none'],
  ['\x92', 'NEWOBJ_EX', 'none'],
  ['\x93', 'STACK_GLOBAL', 'none'],
  ['\x94', 'MEMOIZE', 'none'],
  ['\x95', 'FRAME', 'uint64'],
  ['\x96', 'BYTEARRAY8', 'bytes8'],
  ['\x97', 'NEXT_BUFFER', 'none'],
  ['\x98', 'READONLY_BUFFER', 'none'],
] as const satisfies readonly (readonly [string, string, ArgumentKind])[]

export type OpcodeName = (typeof TABLE)[number][1]

export interface Opcode {
  readonly name: OpcodeName
  readonly argument: ArgumentKind
}

/** By the byte. */
export const OPCODES: ReadonlyMap<number, Opcode> = new Map(
  TABLE.map(([code, name, argument]) => [code.charCodeAt(0), { name, argument }]),
)
