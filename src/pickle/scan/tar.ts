import { hasTarChecksum } from '../../safetensors/sniff-tar.ts'
import { partOf, type Source } from '../source.ts'
import type { Member } from './members.ts'

const BLOCK_BYTES = 512
const READ_BYTES = 1024 * BLOCK_BYTES
const SIZE_AT = 124
const SIZE_LENGTH = 12

/**
 * The members of a tar archive. Readers differ in where the next header lies (sizes in octal or binary, or in a pax
 * header), so that every block which is a header by its checksum is taken for one.
 */
export function* tarMembers(source: Source): Generator<Member> {
  for (let at = 0; at + BLOCK_BYTES <= source.sizeBytes; at += READ_BYTES) {
    const length = Math.min(READ_BYTES, source.sizeBytes - at)
    const blocks = source.take(at, length - (length % BLOCK_BYTES))
    for (let i = 0; i < blocks.length; i += BLOCK_BYTES) {
      const header = blocks.subarray(i, i + BLOCK_BYTES)
      if (hasTarChecksum(header)) yield memberOf(source, header, at + i + BLOCK_BYTES)
    }
  }
}

function memberOf(source: Source, header: Buffer, begin: number): Member {
  const name = header.toString('utf8', 0, 100).replace(/\0.*$/s, '')
  const octal = parseInt(header.toString('latin1', SIZE_AT, SIZE_AT + SIZE_LENGTH).trim(), 8)
  const left = source.sizeBytes - begin
  // Of a size that isn't octal it is as much as there is.
  return { name, source: partOf(source, begin, octal >= 0 && octal < left ? octal : left) }
}
