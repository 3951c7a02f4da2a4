/** 8 bytes of length (the header's own unless given), the header as it is, `data` (a length means zeros). */
export function rawFile(
  header: string | Uint8Array,
  data: number | Uint8Array = 0,
  length?: bigint,
): Uint8Array {
  const head = typeof header === 'string' ? Buffer.from(header) : header
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(length ?? BigInt(head.length))
  return Buffer.concat([size, head, typeof data === 'number' ? new Uint8Array(data) : data])
}

/** An entry of a header, `"name":{…}`, of bytes `begin` to `end`. */
export function u8(name: string, begin: number, end: number): string {
  return `${JSON.stringify(name)}:{"dtype":"U8","shape":[${end - begin}],"data_offsets":[${begin},${end}]}`
}
