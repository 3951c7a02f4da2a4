// .npz files byte by byte, right and wrong: a ZIP of arrays as numpy.savez and savez_compressed write it.

import { crc32, deflateRawSync } from 'node:zlib'

export interface Member {
  readonly name: string
  readonly content: Uint8Array
  readonly isDeflated?: boolean
  /** What the directory says in place of the truth. */
  readonly lies?: {
    readonly size?: number
    readonly crc?: number
    readonly method?: number
    readonly flags?: number
    readonly localName?: string
    readonly at?: number
  }
}

/** A .npy file. */
export function npy(
  descr: string,
  shape: readonly number[],
  data: Uint8Array,
  order: 'C' | 'F' = 'C',
): Buffer {
  const dims = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`
  const text = `{'descr': ${descr}, 'fortran_order': ${order === 'F' ? 'True' : 'False'}, 'shape': ${dims}, }`
  return npyOf(text, data)
}

/** With any header. */
export function npyOf(text: string, data: Uint8Array): Buffer {
  const header = Buffer.from(`${text.padEnd(117)}\n`, 'latin1')
  const start = Buffer.from('\x93NUMPY\x01\x00\0\0', 'latin1')
  start.writeUInt16LE(header.length, 8)
  return Buffer.concat([start, header, data])
}

export function zip(members: readonly Member[], options: { tail?: Uint8Array } = {}): Buffer {
  const parts: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  for (const member of members) {
    const { name, content, isDeflated = false, lies = {} } = member
    const stored = isDeflated ? deflateRawSync(content) : Buffer.from(content)
    const fields = {
      flags: lies.flags ?? 0,
      method: lies.method ?? (isDeflated ? 8 : 0),
      crc: lies.crc ?? crc32(content),
      stored: stored.length,
      size: lies.size ?? content.length,
    }
    const local = record(0x04034b50, 30, fields, 6, lies.localName ?? name)
    central.push(directoryEntry(fields, name, lies.at ?? at))
    parts.push(local, stored)
    at += local.length + stored.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, directory, end, options.tail ?? Buffer.alloc(0)])
}

interface Fields {
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly stored: number
  readonly size: number
}

/** Both kinds of header hold the same fields, in the same order. */
function record(signature: number, length: number, f: Fields, from: number, name: string): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32LE(signature, 0)
  bytes.writeUInt16LE(f.flags, from)
  bytes.writeUInt16LE(f.method, from + 2)
  bytes.writeUInt32LE(f.crc, from + 8)
  bytes.writeUInt32LE(f.stored, from + 12)
  bytes.writeUInt32LE(f.size, from + 16)
  bytes.writeUInt16LE(name.length, from + 20)
  return Buffer.concat([bytes, Buffer.from(name, 'latin1')])
}

function directoryEntry(fields: Fields, name: string, at: number): Buffer {
  const bytes = record(0x02014b50, 46, fields, 8, name)
  bytes.writeUInt32LE(at, 42)
  return bytes
}
