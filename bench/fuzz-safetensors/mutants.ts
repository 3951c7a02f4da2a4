// Files that are nearly valid: a sound header as a list of tokens, then a few tokens and bytes changed, so that
// what comes out is wrong in one place only, in every way and everywhere.

import fc from 'fast-check'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { rawFile } from './raw-file.ts'

const DICTIONARY = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    ' ',
    '\t',
    '\n',
    '\0',
    '\ufeff',
    '{}',
    '[]',
    '"',
    '\\',
    'null',
    'true',
  ],
  ...[
    '0',
    '1',
    '2',
    '4',
    '8',
    '-1',
    '-0',
    '1.0',
    '1e0',
    '01',
    '9007199254740991',
    '9007199254740992',
  ],
  ...['4294967296', '18446744073709551615', '18446744073709551616', 'NaN'],
  ...[
    '"dtype"',
    '"shape"',
    '"data_offsets"',
    '"__metadata__"',
    '"\\u005f_metadata__"',
    '"U8"',
    '"F4"',
  ],
  ...[
    '"f32"',
    '"F32"',
    '"I64"',
    '""',
    '"a"',
    '"\\u0061"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"__proto__"',
  ],
  ...[
    '"dtype":"U8",',
    '"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},',
    ',"x":1',
    '"__metadata__":{},',
  ],
] as const

const name = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'weight',
    'model.layers.0.bias',
    '__proto__',
    'ä',
    '😀',
    '\ufeff',
    '1',
    '0',
  ),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
)

const tensor = fc
  .record({
    name,
    dtype: fc.constantFrom(...DTYPES),
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
    keys: fc.shuffledSubarray(['dtype', 'shape', 'data_offsets'] as const, { minLength: 3 }),
  })
  .map((draft) => {
    // Whole bytes, whatever the dtype.
    const shape = draft.dtype.bits % 8 === 0 ? draft.shape : [...draft.shape, 4]
    const elements = shape.reduce((product, dim) => product * dim, 1)
    return { ...draft, shape, size: (elements * draft.dtype.bits) / 8 }
  })

const metadata = fc.option(
  fc.uniqueArray(fc.tuple(name, fc.string({ unit: 'grapheme', maxLength: 8 })), {
    selector: ([key]) => key,
    maxLength: 3,
  }),
)

type Tensor = typeof tensor extends fc.Arbitrary<infer T> ? T : never

function entryTokens({ name, dtype, shape, keys }: Tensor, begin: number, end: number): string[] {
  const list = (values: readonly number[]) => [
    '[',
    ...values.flatMap((value, i) => (i === 0 ? [`${value}`] : [',', `${value}`])),
    ']',
  ]
  const values = {
    dtype: [JSON.stringify(dtype.name)],
    shape: list(shape),
    data_offsets: list([begin, end]),
  }
  const members = keys.map((key) => [JSON.stringify(key), ':', ...values[key]])
  return [JSON.stringify(name), ':', ...objectTokens(members)]
}

function objectTokens(members: readonly (readonly string[])[]): string[] {
  return ['{', ...members.flatMap((member, i) => (i === 0 ? member : [',', ...member])), '}']
}

/** A sound header's tokens, its tensors listed in any order, and the bytes of its data. */
const sound = fc
  .record({
    tensors: fc.uniqueArray(tensor, { selector: (draft) => draft.name, maxLength: 5 }),
    metadata,
    order: fc.array(fc.nat(100), { minLength: 6, maxLength: 6 }),
    isInOrder: fc.boolean(),
  })
  .map(({ tensors, metadata, order, isInOrder }) => {
    let end = 0
    const members = tensors.map((draft) => entryTokens(draft, end, (end += draft.size)))
    if (metadata !== null) {
      const strings = metadata.map((pair) => pair.map((text) => JSON.stringify(text)))
      members.push([
        '"__metadata__"',
        ':',
        ...objectTokens(strings.map(([k = '', v = '']) => [k, ':', v])),
      ])
    }
    const keyed = members.map((member, i) => ({ member, key: isInOrder ? i : (order[i] ?? 0) }))
    keyed.sort((a, b) => a.key - b.key)
    return { tokens: objectTokens(keyed.map(({ member }) => member)), size: end }
  })

/** One change of the i-th token of a kind (counted around), with `token` where it needs another. */
interface Edit {
  readonly kind: keyof typeof EDITS
  readonly at: number
  readonly token: string
}

const anyToken = () => true
const isNumber = (token: string) => /^\d/.test(token)
const isString = (token: string) => token.length > 2 && token.startsWith('"')

/** Which tokens each kind of edit is for, and what stands in place of one. */
const EDITS = {
  replace: { of: anyToken, by: (_: string, token: string) => [token] },
  insert: { of: anyToken, by: (old: string, token: string) => [token, old] },
  delete: { of: anyToken, by: () => [] },
  repeat: { of: anyToken, by: (old: string) => [old, old] },
  increment: { of: isNumber, by: (old: string) => [`${Number(old) + 1}`] },
  decrement: { of: isNumber, by: (old: string) => [`${Number(old) - 1}`] },
  fraction: { of: isNumber, by: (old: string) => [`${old}.0`] },
  exponent: { of: isNumber, by: (old: string) => [`${old}e0`] },
  zero: { of: isNumber, by: (old: string) => [`0${old}`] },
  escape: { of: isString, by: (old: string) => [escapeFirst(old)] },
  member: {
    of: (token: string) => token === '{',
    by: (old: string, token: string) => [old, token, ':', '{}', ','],
  },
  text: {
    of: (token: string) => token === '{',
    by: (old: string, token: string) => [old, token, ':', '"U8"', ','],
  },
} as const

function escapeFirst(string: string): string {
  const unit = string.charCodeAt(1).toString(16).padStart(4, '0')
  return string[1] === '\\' ? string : `"\\u${unit}${string.slice(2)}`
}

const edit = fc.record<Edit>({
  kind: fc.constantFrom(...(Object.keys(EDITS) as (keyof typeof EDITS)[])),
  at: fc.nat(10_000),
  token: fc.constantFrom(...DICTIONARY),
})

function edited(tokens: readonly string[], edits: readonly Edit[]): string[] {
  let result = [...tokens]
  for (const { kind, at, token } of edits) {
    const { of, by } = EDITS[kind]
    const places = [...result.keys()].filter((i) => of(result[i] ?? ''))
    const place = places[at % Math.max(1, places.length)]
    result = result.flatMap((old, i) => (i === place ? by(old, token) : [old]))
  }
  return result
}

const rarely = <T>(often: T, values: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(often), weight: 9 }, { arbitrary: values, weight: 1 })

/** Sound files: listed in any order, padded or not. */
export const soundFile: fc.Arbitrary<Uint8Array> = fc
  .record({ sound, padding: fc.nat(9) })
  .map(({ sound, padding }) => rawFile(sound.tokens.join('') + ' '.repeat(padding), sound.size))

/** Files of which about a third are sound. */
export const mutant: fc.Arbitrary<Uint8Array> = fc
  .record({
    sound,
    edits: fc.oneof(fc.constant([]), fc.array(edit, { maxLength: 2 })),
    space: rarely('', fc.constantFrom(' ', '\n', '\t ')),
    padding: fc.constantFrom('', ' ', '       '),
    byte: rarely(undefined, fc.record({ at: fc.nat(10_000), value: fc.nat(255) })),
    lengthDelta: rarely(0, fc.integer({ min: -9, max: 9 })),
    dataDelta: rarely(0, fc.integer({ min: -2, max: 2 })),
  })
  .map(({ sound, edits, space, padding, byte, lengthDelta, dataDelta }) => {
    const header = Buffer.from(edited(sound.tokens, edits).join(space) + padding)
    const length = BigInt(Math.max(0, header.length + lengthDelta))
    const file = rawFile(header, Math.max(0, sound.size + dataDelta), length)
    if (byte !== undefined) file[byte.at % file.length] = byte.value
    return file
  })
