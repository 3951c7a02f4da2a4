// The wire format of protocol buffers, as much of it as ONNX needs: https://protobuf.dev/programming-guides/encoding/

const VARINT = 0
const BYTES = 2
const FIXED32 = 5

/** Of a varint that holds 32 bits. */
const MAX_VARINT_BYTES = 5

/** One field of a message, its key included. */
export type Field = Uint8Array

/** A number from 0 to 2^53 − 1, or a negative one as its two's complement in 64 bits. */
export function int(field: number, value: number): Field {
  return Buffer.concat([key(field, VARINT), varint(value)])
}

export function float(field: number, value: number): Field {
  const body = Buffer.alloc(4)
  body.writeFloatLE(value)
  return Buffer.concat([key(field, FIXED32), body])
}

export function bytes(field: number, value: Uint8Array): Field {
  return Buffer.concat([key(field, BYTES), varint(value.length), value])
}

export function string(field: number, value: string): Field {
  return bytes(field, Buffer.from(value))
}

export function message(field: number, parts: readonly Field[]): Field {
  const body = parts.reduce((length, part) => length + part.length, 0)
  return Buffer.concat([key(field, BYTES), varint(body), ...parts])
}

/** Numbers from 0 to 2^32 − 1, packed. */
export function packedInts(field: number, values: Int32Array | Uint32Array): Field {
  const body = Buffer.allocUnsafe(values.length * MAX_VARINT_BYTES)
  let length = 0
  for (const value of values) {
    let rest = value >>> 0
    while (rest > 0x7f) {
      body[length] = (rest & 0x7f) | 0x80
      length += 1
      rest >>>= 7
    }
    body[length] = rest
    length += 1
  }
  return bytes(field, body.subarray(0, length))
}

export function packedFloats(field: number, values: Float32Array): Field {
  return bytes(field, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

const key = (field: number, wire: number): Uint8Array => varint(field * 8 + wire)

function varint(value: number): Uint8Array {
  const out: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  out.push(Number(rest))
  return Uint8Array.from(out)
}
