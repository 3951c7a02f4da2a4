import { HEAD_BYTES } from '../safetensors/sniff.ts'
import { hasTarChecksum } from '../safetensors/sniff-tar.ts'
import type { LooksLike } from '../safetensors/safetensors-error.ts'
import { Fault, type Reader } from './fault.ts'

// Formats that are read from elsewhere than a file's first byte: a ZIP from the record at its end (APPNOTE.TXT 4.3.16;
// how far from it differs by reader), HDF5 and ISO 9660 at offsets of theirs, PDF behind whatever, 7z, RAR and xz behind a
// program that unpacks itself, tar by a sum. Four bytes and more hardly ever come about by chance, so anywhere is told.
const SIGNATURES: readonly {
  readonly bytes: Buffer
  readonly sentence: string
  readonly looksLike?: LooksLike
}[] = (
  [
    ['PK\x03\x04', 'an archive is hidden in it', 'zip'],
    ['PK\x05\x06', 'an archive is hidden in it', 'zip'],
    ['\x89HDF\r\n\x1a\n', 'HDF5 is hidden in it', 'hdf5'],
    ["7z\xbc\xaf'\x1c", 'an archive is hidden in it', '7z'],
    ['Rar!\x1a\x07', 'an archive is hidden in it', undefined],
    ['\xfd7zXZ\0', 'an archive is hidden in it', undefined],
    ['\x01CD001\x01', 'an image of a disc is hidden in it', undefined],
    ['\x7fELF', 'a program is hidden in it', 'elf'],
    ['%PDF-', 'a document is hidden in it', undefined],
  ] as const
).map(([bytes, sentence, looksLike]) => ({
  bytes: Buffer.from(bytes, 'latin1'),
  sentence,
  ...(looksLike && { looksLike }),
}))
const LONGEST = Math.max(...SIGNATURES.map(({ bytes }) => bytes.length))

const BLOCK_BYTES = HEAD_BYTES

/** Looks for archives and programs in a file that may hold any bytes. */
export function createHiddenWatch(): Reader {
  const block = Buffer.alloc(BLOCK_BYTES)
  let tail = Buffer.alloc(0)
  let position = 0

  /** A reader that finds no header in the first block goes on to the next (GNU tar). */
  function findTar(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length;) {
      const filled = (position + i) % BLOCK_BYTES
      const part = bytes.subarray(i, i + BLOCK_BYTES - filled)
      block.set(part, filled)
      i += part.length
      if (filled + part.length === BLOCK_BYTES && hasTarChecksum(block))
        throw new Fault(position + i - BLOCK_BYTES, 'an archive is hidden in it', 'tar')
    }
  }

  return {
    write(bytes) {
      findTar(bytes)
      const all = Buffer.concat([tail, bytes])
      const start = position - tail.length
      for (const { bytes: signature, sentence, looksLike } of SIGNATURES) {
        const at = all.indexOf(signature)
        if (at !== -1) throw new Fault(start + at, sentence, looksLike)
      }
      position += bytes.length
      tail = Buffer.from(all.subarray(Math.max(0, all.length - LONGEST + 1)))
    },
    end: () => undefined,
  }
}
