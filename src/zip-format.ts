// The parts of a ZIP archive, as PKWARE's APPNOTE.TXT 4.3 has them: signatures, and the lengths of what is fixed.

export const LOCAL = 0x04034b50
export const CENTRAL = 0x02014b50
export const END = 0x06054b50
export const END_64 = 0x06064b50
export const LOCATOR_64 = 0x07064b50

export const LOCAL_BYTES = 30
export const CENTRAL_BYTES = 46
export const END_BYTES = 22
export const END_64_BYTES = 56
export const LOCATOR_64_BYTES = 20

/** Stands for a number that only the ZIP64 fields hold. */
export const IN_ZIP64 = 0xffff_ffff
const ZIP64_EXTRA = 1

/** The 64-bit numbers of a member's extra fields, in the order in which they stand for 32-bit ones. */
export function zip64Of(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== ZIP64_EXTRA) continue
    const field = extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2))
    return Array.from({ length: Math.floor(field.length / 8) }, (_, i) => uint64(field, 8 * i))
  }
  return []
}

/** Exact below 2^53; a larger one is beyond any file. */
export const uint64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at))
