/** PyTorch's dtypes by name, and what safetensors calls them; undefined where it has no such thing. */
const DTYPES = {
  float64: { safetensors: 'F64', bytes: 8 },
  float32: { safetensors: 'F32', bytes: 4 },
  float16: { safetensors: 'F16', bytes: 2 },
  bfloat16: { safetensors: 'BF16', bytes: 2 },
  int64: { safetensors: 'I64', bytes: 8 },
  int32: { safetensors: 'I32', bytes: 4 },
  int16: { safetensors: 'I16', bytes: 2 },
  int8: { safetensors: 'I8', bytes: 1 },
  uint8: { safetensors: 'U8', bytes: 1 },
  uint16: { safetensors: 'U16', bytes: 2 },
  uint32: { safetensors: 'U32', bytes: 4 },
  uint64: { safetensors: 'U64', bytes: 8 },
  bool: { safetensors: 'BOOL', bytes: 1 },
  complex64: { safetensors: 'C64', bytes: 8 },
  float8_e4m3fn: { safetensors: 'F8_E4M3', bytes: 1 },
  float8_e5m2: { safetensors: 'F8_E5M2', bytes: 1 },
  float8_e4m3fnuz: { safetensors: 'F8_E4M3FNUZ', bytes: 1 },
  float8_e5m2fnuz: { safetensors: 'F8_E5M2FNUZ', bytes: 1 },
  float8_e8m0fnu: { safetensors: 'F8_E8M0', bytes: 1 },
  complex128: { safetensors: undefined, bytes: 16 },
  complex32: { safetensors: undefined, bytes: 4 },
  qint8: { safetensors: undefined, bytes: 1 },
  quint8: { safetensors: undefined, bytes: 1 },
  qint32: { safetensors: undefined, bytes: 4 },
  quint4x2: { safetensors: undefined, bytes: 1 },
  quint2x4: { safetensors: undefined, bytes: 1 },
} as const

export type DtypeName = keyof typeof DTYPES

export interface DtypeFacts {
  readonly safetensors: string | undefined
  readonly bytes: number
}

export const dtypeFacts = (name: DtypeName): DtypeFacts => DTYPES[name]

/** Names in `torch`: some dtypes have two. */
export const DTYPE_OF_GLOBAL: ReadonlyMap<string, DtypeName> = new Map([
  ...(Object.keys(DTYPES) as DtypeName[]).map((name) => [name, name] as const),
  ['double', 'float64'],
  ['float', 'float32'],
  ['half', 'float16'],
  ['long', 'int64'],
  ['int', 'int32'],
  ['short', 'int16'],
  ['cfloat', 'complex64'],
  ['cdouble', 'complex128'],
  ['chalf', 'complex32'],
])

/** Storage classes, in `torch` and, on a card, in `torch.cuda`. */
export const DTYPE_OF_STORAGE: ReadonlyMap<string, DtypeName> = new Map([
  ['DoubleStorage', 'float64'],
  ['FloatStorage', 'float32'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['BoolStorage', 'bool'],
  ['ComplexFloatStorage', 'complex64'],
  ['ComplexDoubleStorage', 'complex128'],
  ['QInt8Storage', 'qint8'],
  ['QUInt8Storage', 'quint8'],
  ['QInt32Storage', 'qint32'],
  ['QUInt4x2Storage', 'quint4x2'],
  ['QUInt2x4Storage', 'quint2x4'],
])
