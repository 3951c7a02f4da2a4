import { Fault, type Reader } from './fault.ts'

// Formats that are read from elsewhere than a file's first byte: a ZIP by the record at its end (APPNOTE.TXT 4.3.16: 22
// bytes and a comment), HDF5 by a signature at a power of two (File Format Specification II.A).
const ZIP_END = Buffer.from('PK\x05\x06', 'latin1')
const ZIP_END_REACH = 22 + 0xffff
const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
const LONGEST = HDF5.length

/** Looks for archives in a file that may hold any bytes. */
export function createHiddenWatch(): Reader {
  let tail = Buffer.alloc(0)
  let position = 0
  let zipEnd = -Infinity

  return {
    write(bytes) {
      const all = Buffer.concat([tail, bytes])
      const start = position - tail.length
      const hdf5 = all.indexOf(HDF5)
      if (hdf5 !== -1) throw new Fault(start + hdf5, 'HDF5 is hidden in it', 'hdf5')
      const end = all.lastIndexOf(ZIP_END)
      if (end !== -1) zipEnd = start + end
      position += bytes.length
      tail = Buffer.from(all.subarray(Math.max(0, all.length - LONGEST + 1)))
    },
    end() {
      if (position - zipEnd <= ZIP_END_REACH)
        throw new Fault(zipEnd, 'an archive is hidden in it', 'zip')
    },
  }
}
