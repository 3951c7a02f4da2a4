import type { LooksLike } from './safetensors-error.ts'
import { sniffPickle } from './sniff-pickle.ts'
import { sniffTar } from './sniff-tar.ts'
import { sniffText } from './sniff-text.ts'
import { sniffZip } from './sniff-zip.ts'

/** No format here needs more of a file's head than this, a tar header. */
export const HEAD_BYTES = 512

/** What a head looks like, and whether it stays so whatever follows within HEAD_BYTES. */
export interface Guess {
  readonly looksLike: LooksLike
  readonly isCertain: boolean
}

/** A format's own look at a head; undefined where the head isn't of that format and can't become so. */
type Sniffer = (head: Uint8Array) => Guess | undefined

const MAGICS: readonly { readonly looksLike: LooksLike; readonly magic: readonly number[] }[] = [
  { looksLike: 'gguf', magic: [0x47, 0x47, 0x55, 0x46] },
  { looksLike: 'hdf5', magic: [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a] },
  { looksLike: 'gzip', magic: [0x1f, 0x8b] },
  { looksLike: '7z', magic: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c] },
  { looksLike: 'elf', magic: [0x7f, 0x45, 0x4c, 0x46] },
]

const SNIFFERS: readonly Sniffer[] = [
  sniffMagic,
  sniffZip,
  sniffPickle,
  sniffOnnx,
  sniffText,
  sniffTar,
]

/** What the first bytes of a file, HEAD_BYTES at most, look like. */
export function sniff(head: Uint8Array): Guess {
  if (head.length === 0) return { looksLike: 'empty', isCertain: false }
  const guesses = SNIFFERS.flatMap((sniffer) => sniffer(head) ?? [])
  const certain = guesses.find((guess) => guess.isCertain)
  if (certain !== undefined) return certain
  const likely = guesses.find((guess) => guess.looksLike !== 'unknown')
  return { looksLike: likely?.looksLike ?? 'unknown', isCertain: guesses.length === 0 }
}

/** What a file looks like by its first bytes; a hint for people, never a verdict. */
export function looksLike(head: Uint8Array): LooksLike {
  return sniff(head.subarray(0, HEAD_BYTES)).looksLike
}

function sniffMagic(head: Uint8Array): Guess | undefined {
  const found = MAGICS.find(({ magic }) => magic.every((byte, i) => head[i] === byte))
  return found && { looksLike: found.looksLike, isCertain: true }
}

/** Fields of onnx.proto's ModelProto that may follow `ir_version`, as protobuf tags of length-delimited fields and varints. */
const ONNX_TAGS: ReadonlySet<number> = new Set([0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42])
const ONNX_LAST_IR_VERSION = 20

function sniffOnnx(head: Uint8Array): Guess | undefined {
  const [tag, irVersion = 0, next = -1] = head
  const isOnnx =
    tag === 0x08 && irVersion > 0 && irVersion <= ONNX_LAST_IR_VERSION && ONNX_TAGS.has(next)
  return isOnnx ? { looksLike: 'onnx', isCertain: true } : undefined
}
