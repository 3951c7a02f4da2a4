import { posix } from 'node:path'

/**
 * What a sidecar holds. `tokenizer` is one of two: `tokenizer.model` is a SentencePiece model in most checkpoints
 * and a vocabulary of tiktoken in Llama 3's.
 */
export type SidecarForm = 'json' | 'text' | 'sentencepiece' | 'tiktoken' | 'tokenizer'

/*
 * Which files may travel beside weights, by their whole name or its end, case and all. What isn't here is judged as
 * safetensors. Left out on purpose: whatever runs (`.py`, `.sh`, `.ipynb`), unpacks (`.zip`, `.tar`, `.gz`) or is loaded by
 * a format of its own (`.bin`, `.pt`, `.pkl`, `.npy`, `.onnx`, `.gguf`, `.h5`, `.msgpack`), and pictures.
 */
const BY_NAME: ReadonlyMap<string, SidecarForm> = new Map(
  (
    [
      ['README', 'text'],
      ['LICENSE', 'text'],
      ['LICENCE', 'text'],
      ['NOTICE', 'text'],
      ['CITATION.cff', 'text'],
      ['.gitattributes', 'text'],
      ['.gitignore', 'text'],
      // Merges of a byte-pair encoding: GPT-2 as it came out, PhoBERT.
      ['vocab.bpe', 'text'],
      ['bpe.codes', 'text'],
      ['tokenizer.model', 'tokenizer'],
      ['tiktoken.model', 'tiktoken'],
      ['sentencepiece.model', 'sentencepiece'],
      ['sentencepiece.bpe.model', 'sentencepiece'],
      ['spiece.model', 'sentencepiece'],
      ['spm.model', 'sentencepiece'],
      ['source.spm', 'sentencepiece'],
      ['target.spm', 'sentencepiece'],
    ] as const
  ).map(([name, form]) => [name, form]),
)
const BY_EXTENSION: ReadonlyMap<string, SidecarForm> = new Map([
  ['.json', 'json'],
  ['.jsonl', 'text'],
  ['.txt', 'text'],
  ['.md', 'text'],
  ['.yaml', 'text'],
  ['.yml', 'text'],
  ['.jinja', 'text'],
  ['.csv', 'text'],
  ['.tsv', 'text'],
  ['.tiktoken', 'tiktoken'],
])

/** What a file of this path holds where sidecars are admitted; undefined for a name that is none of a sidecar. */
export function sidecarForm(path: string): SidecarForm | undefined {
  const name = posix.basename(path)
  return BY_NAME.get(name) ?? BY_EXTENSION.get(posix.extname(name))
}

/** For people. */
export const SHOULD_BE: Readonly<Record<SidecarForm, string>> = {
  json: 'JSON (RFC 8259)',
  text: 'UTF-8 text',
  sentencepiece: 'a SentencePiece model',
  tiktoken: 'a vocabulary of tiktoken',
  tokenizer: 'a SentencePiece model or a vocabulary of tiktoken',
}
