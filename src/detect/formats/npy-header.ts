import { refuseAt } from '../open/members.ts'

// numpy.lib.format: \x93NUMPY, version, the header's length, and a Python literal whose keys NumPy always sorts,
// padded with spaces to end in a line feed.

const MAGIC = Buffer.from('\x93NUMPY', 'latin1')
/** Version and a length of 16 bits; of 32 from version 2 on. */
const SHORT_START = 10
const LONG_START = 12
/** NumPy refuses longer ones too. */
const MAX_HEADER_BYTES = 10_000

export const MAX_NPY_START = LONG_START + MAX_HEADER_BYTES

const HEADER =
  /^\{'descr': ('[^'\\]{1,8}'|\[.*\]), 'fortran_order': (True|False), 'shape': \(((?:\d+, ?)*\d*),?\), ?\} *\n$/

/** NumPy's names of what is read here, little-endian or of one byte. */
const DTYPES: Readonly<Record<string, string>> = {
  "'<f2'": 'F16',
  "'<f4'": 'F32',
  "'<f8'": 'F64',
  "'<i4'": 'I32',
  "'<i8'": 'I64',
  "'<u4'": 'U32',
  "'|u1'": 'U8',
  "'|b1'": 'BOOL',
}

export interface NpyHeader {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly fastest: 'last' | 'first'
  /** Where the data begins. */
  readonly length: number
}

/** Reads the start of a .npy file. @throws {DetectorRefused} for arrays of Python objects, among others */
export function readNpyHeader(start: Buffer, where: string): NpyHeader {
  if (start.length < LONG_START || !start.subarray(0, 6).equals(MAGIC))
    return refuseAt(where, 'is no array of NumPy')
  const isShort = start[6] === 1
  if (!isShort && start[6] !== 2 && start[6] !== 3)
    refuseAt(where, `is of version ${start[6] ?? 0} of NumPy’s format`)
  const begin = isShort ? SHORT_START : LONG_START
  const length = isShort ? start.readUInt16LE(8) : start.readUInt32LE(8)
  if (length > MAX_HEADER_BYTES || begin + length > start.length)
    refuseAt(where, 'has no whole header')
  const literal = start.toString('latin1', begin, begin + length)
  const [, descr = '', order, dims = ''] = HEADER.exec(literal) ?? refuseAt(where, 'has a header that NumPy does not write') // prettier-ignore
  if (/^'.O/.test(descr))
    refuseAt(where, 'holds Python objects, which are a pickle: they are never read')
  const dtype = DTYPES[descr] ?? refuseAt(where, `is of dtype ${descr}, which is not read here`)
  const shape = dims
    .split(',')
    .filter((dim) => dim.trim() !== '')
    .map(Number)
  if (shape.length > 8 || !Number.isSafeInteger(shape.reduce((a, b) => a * b, 8)))
    refuseAt(where, 'has a shape that no array has')
  const fastest = order === 'True' ? 'first' : 'last'
  return { dtype, shape, fastest, length: begin + length }
}
