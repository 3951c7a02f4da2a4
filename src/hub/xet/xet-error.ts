/** Every way in which bytes aren't what the Xet protocol says they are. The words are stable. */
export type XetReason =
  | 'lz4_not_a_frame'
  | 'lz4_invalid'
  | 'lz4_truncated'
  | 'lz4_too_long'
  | 'lz4_checksum'
  | 'chunk_header_invalid'
  | 'chunk_size_mismatch'
  | 'chunk_range_invalid'
  | 'xorb_truncated'
  | 'xorb_too_large'
  | 'xorb_too_many_chunks'
  | 'xorb_footer_invalid'
  | 'shard_not_a_shard'
  | 'shard_truncated'
  | 'shard_file_invalid'
  | 'shard_term_invalid'
  | 'shard_too_large'
  | 'shard_footer_invalid'

/** Bytes of a Xet client that can't be used: the reason for programs, a sentence for people. */
export class XetError extends Error {
  readonly reason: XetReason

  constructor(reason: XetReason, sentence: string) {
    super(sentence)
    this.name = 'XetError'
    this.reason = reason
  }
}
