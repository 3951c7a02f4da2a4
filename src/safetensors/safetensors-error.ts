/** Every way in which bytes aren't a valid safetensors file. The words are stable. */
export type Reason =
  | 'not_safetensors'
  | 'header_too_large'
  | 'header_truncated'
  | 'header_not_utf8'
  | 'header_not_json'
  | 'duplicate_key'
  | 'metadata_not_strings'
  | 'tensor_entry_invalid'
  | 'unknown_dtype'
  | 'shape_invalid'
  | 'offsets_invalid'
  | 'size_mismatch'
  | 'overlap'
  | 'gap'
  | 'truncated'
  | 'trailing_bytes'
  | 'empty_name'
  | 'too_many_tensors'

/** What a file that isn't safetensors seems to be, by its content. */
export type LooksLike =
  | 'pickle'
  | 'torch_zip'
  | 'torch_legacy'
  | 'gguf'
  | 'hdf5'
  | 'onnx'
  | 'npz'
  | 'zip'
  | 'gzip'
  | '7z'
  | 'tar'
  | 'elf'
  | 'html'
  | 'git_lfs_pointer'
  | 'json'
  | 'empty'
  | 'unknown'

interface Facts {
  /** The byte of the file, counted from its start, at which it was decided or at which the fault lies. */
  readonly offset?: number | undefined
  /** The name of the tensor at fault. */
  readonly tensor?: string | undefined
  readonly looksLike?: LooksLike | undefined
}

/** A file that isn't valid safetensors: the reason for programs, a sentence for people. */
export class SafetensorsError extends Error {
  readonly reason: Reason
  readonly offset: number | undefined
  readonly tensor: string | undefined
  readonly looksLike: LooksLike | undefined

  constructor(reason: Reason, sentence: string, facts: Facts = {}) {
    super(sentence)
    this.name = 'SafetensorsError'
    this.reason = reason
    this.offset = facts.offset
    this.tensor = facts.tensor
    this.looksLike = facts.looksLike
  }
}
