import { XetError } from './xet-error.ts'

const FOOTER_BYTES = 200
const FOOTER_VERSION = 1n

interface Sections {
  /** As the shard's header has it. */
  readonly footerBytes: bigint
  readonly filesBegin: number
  readonly xorbsBegin: number
  readonly xorbsEnd: number
}

/**
 * Checks what follows a shard's sections: nothing, or a footer, which says where the sections begin. Look-up tables
 * may lie before the footer; nothing here looks anything up in them.
 *
 * ```
 *   0  u64 LE version 1, u64 LE where the files begin, u64 LE where the xorbs begin
 *  24  look-up tables, keys and times that this reader has no use for
 * 192  u64 LE where the footer begins
 * ```
 *
 * @throws XetError
 */
export function checkShardFooter(view: DataView, sections: Sections): void {
  const { footerBytes, filesBegin, xorbsBegin, xorbsEnd } = sections
  if (footerBytes === 0n && view.byteLength === xorbsEnd) return
  const at = view.byteLength - FOOTER_BYTES
  const isSound =
    footerBytes === BigInt(FOOTER_BYTES) &&
    at >= xorbsEnd &&
    view.getBigUint64(at, true) === FOOTER_VERSION &&
    view.getBigUint64(at + 8, true) === BigInt(filesBegin) &&
    view.getBigUint64(at + 16, true) === BigInt(xorbsBegin) &&
    view.getBigUint64(at + FOOTER_BYTES - 8, true) === BigInt(at)
  if (!isSound)
    throw new XetError(
      'shard_footer_invalid',
      'what follows the sections of the shard is no footer',
    )
}
