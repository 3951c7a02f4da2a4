// As much of WebAssembly's binary format as summing-kernel.ts needs, by the names of the text format (WebAssembly Core
// Specification 3.0, chapter 5; the instructions on vectors are in section 5.4.8). An instruction's operands are code
// that stands before it, as in a folded expression.

export type Code = readonly number[]

/** An index, count or offset, as unsigned LEB128. */
function u32(value: number): Code {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

/** A constant of 32 bits, as signed LEB128. */
function s32(value: number): Code {
  const bytes: number[] = []
  let rest = value | 0
  for (; rest < -0x40 || rest > 0x3f; rest >>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest & 0x7f]
}

type Unary = (a: Code) => Code
type Binary = (a: Code, b: Code) => Code
const binary =
  (...opcode: Code): Binary =>
  (a, b) => [...a, ...b, ...opcode]

/** A hint that promises nothing, so that any address will do. */
const UNALIGNED = 0
const loading =
  (...opcode: Code) =>
  (address: Code, offset = 0): Code => [...address, ...opcode, UNALIGNED, ...u32(offset)]
const storing =
  (...opcode: Code) =>
  (address: Code, offset: number, value: Code): Code => [
    ...address,
    ...value,
    ...opcode,
    UNALIGNED,
    ...u32(offset),
  ]

export const get = (local: number): Code => [0x20, ...u32(local)]
export const set = (local: number, value: Code): Code => [...value, 0x21, ...u32(local)]

/** Runs `body`, and again as long as `condition` holds. */
export const doWhile = (body: Code, condition: Code): Code => [
  ...[0x03, 0x40], // loop
  ...body,
  ...[...condition, 0x0d, 0], // br_if
  0x0b, // end
]

export const i32 = {
  constant: (value: number): Code => [0x41, ...s32(value)],
  add: binary(0x6a),
  below: binary(0x49),
  shiftLeft: binary(0x74),
  load: loading(0x28),
  load8: loading(0x2d),
  load16: loading(0x2f),
  store: storing(0x36),
}

const vector = (opcode: number): Code => [0xfd, ...u32(opcode)]

export const v128 = {
  load: loading(...vector(0x00)),
  /** Four integers of 16 bits, widened to 32. */
  load16x4Signed: loading(...vector(0x03)),
  load16x4: loading(...vector(0x04)),
  store: storing(...vector(0x0b)),
  and: binary(...vector(0x4e)),
  /** The upper half in the place of the lower (i8x16.shuffle). */
  upperHalf: ((a) => [
    ...[...a, ...a, ...vector(0x0d)],
    ...[8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15],
  ]) satisfies Unary,
}

// pmin(a, b) is `b < a ? b : a`: a NaN in b is passed over.
export const f32x4 = {
  equal: binary(...vector(0x41)),
  pmin: binary(...vector(0xea)),
  pmax: binary(...vector(0xeb)),
  subtract: binary(...vector(0xe5)),
}
export const f64x2 = {
  equal: binary(...vector(0x47)),
  pmin: binary(...vector(0xf6)),
  pmax: binary(...vector(0xf7)),
  add: binary(...vector(0xf0)),
  mul: binary(...vector(0xf2)),
  promoteLow: ((a) => [...a, ...vector(0x5f)]) satisfies Unary,
}
export const i32x4 = {
  splat: ((a) => [...a, ...vector(0x11)]) satisfies Unary,
  equal: binary(...vector(0x37)),
  add: binary(...vector(0xae)),
  subtract: binary(...vector(0xb1)),
  shiftLeft: binary(...vector(0xab)),
}
export const i64x2 = { subtract: binary(...vector(0xd1)) }

interface ExportedFunction {
  readonly name: string
  /** Local 0 is the parameter; then come so many i32 and so many v128, which begin as zeros. */
  readonly integers: number
  readonly vectors: number
  readonly body: Code
}

const I32 = 0x7f
const V128 = 0x7b

/** A module of functions (i32) → nothing over the imported memory `js.memory`. */
export function moduleOf(functions: readonly ExportedFunction[]): Uint8Array {
  const bodies = functions.map(({ integers, vectors, body }) => {
    const locals = list([
      [...u32(integers), I32],
      [...u32(vectors), V128],
    ])
    return sized([...locals, ...body, 0x0b])
  })
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // \0asm, version 1
    ...section(1, list([[0x60, 1, I32, 0]])), // types
    ...section(2, list([[...text('js'), ...text('memory'), 0x02, 0x00, 1]])), // imports
    ...section(3, list(functions.map(() => u32(0)))), // functions: their types
    ...section(7, list(functions.map(({ name }, i) => [...text(name), 0x00, ...u32(i)]))), // exports
    ...section(10, list(bodies)), // code
  ])
}

const list = (items: readonly Code[]): Code => [...u32(items.length), ...items.flat()]
const sized = (content: Code): Code => [...u32(content.length), ...content]
const section = (id: number, content: Code): Code => [id, ...sized(content)]
const text = (ascii: string): Code => sized([...Buffer.from(ascii)])
