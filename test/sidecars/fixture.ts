import { SafetensorsError } from '../../src/safetensors/safetensors-error.ts'
import { Fault, type Reader } from '../../src/sidecars/fault.ts'
import { sidecarForm } from '../../src/sidecars/forms.ts'
import { createSidecarJudge } from '../../src/sidecars/judge.ts'
import { chunksOf } from '../safetensors/verdicts.ts'

/** The byte at which a reader refuses a file that comes in chunks of these lengths; undefined when it doesn't. */
export function faultIn(
  reader: Reader,
  file: Uint8Array,
  lengths: readonly number[] = [file.length],
): number | undefined {
  try {
    for (const chunk of chunksOf(file, lengths)) reader.write(chunk)
    reader.end()
    return undefined
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return error.offset
  }
}

/** What is said of a file of that path: `good`, or why it isn't. */
export function judged(
  path: string,
  file: Uint8Array,
  lengths: readonly number[] = [file.length],
): 'good' | { readonly looksLike: unknown; readonly offset: unknown; readonly message: string } {
  const form = sidecarForm(path)
  if (form === undefined) throw new Error(`${path} is no sidecar's name`)
  const judge = createSidecarJudge(form)
  try {
    for (const chunk of chunksOf(file, lengths)) judge.write(chunk)
    judge.end()
    return 'good'
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const { looksLike, offset, message } = error
    return { looksLike, offset, message }
  }
}

export const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** A field of protobuf that has a length: its tag, its length, its bytes. */
export function field(tag: number, bytes: Uint8Array): Buffer {
  const length: number[] = []
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left)
    if (left <= 127) break
  }
  return Buffer.concat([Buffer.from([tag, ...length]), bytes])
}

/** A piece of a SentencePiece model, as the library writes it. */
export function piece(text: string | Uint8Array, score = -1.5, type?: number): Buffer {
  const number = Buffer.alloc(4)
  number.writeFloatLE(score)
  const ending = type === undefined ? [] : [0x18, type]
  return field(
    0x0a,
    Buffer.concat([field(0x0a, Buffer.from(text)), latin1('\x15'), number, Buffer.from(ending)]),
  )
}

/** A small model with all that real ones have, a character map of any bytes among it. */
export const sentencepieceModel = (
  charmap: Uint8Array = Buffer.alloc(300, '\x00\x80\xff', 'latin1'),
) =>
  Buffer.concat([
    piece('<unk>', 0, 2),
    piece('<s>', 0, 3),
    piece('<0x00>', 0, 6),
    piece('▁the'),
    piece('x'.repeat(200)),
    field(0x12, latin1('\x0a\x05a.txt\x12\x01m\x18\x02')),
    field(0x1a, Buffer.concat([field(0x0a, latin1('nmt_nfkc')), field(0x12, charmap)])),
    field(0x22, Buffer.alloc(0)),
    field(0x2a, Buffer.alloc(0)),
  ])

/** A header of tar without `ustar`, whose name begins as a model does, and the file behind it in a field of the specs. */
export function tarOfModel(
  sum: (sum: number) => Buffer = (n) => latin1(`${n.toString(8).padStart(6, '0')}\0 `),
): Buffer {
  const tar = Buffer.alloc(2048)
  latin1('\x0a\x03\x0a\x01a\x12').copy(tar)
  // trainer_spec to the last byte: a length of two bytes, one field over all of it.
  const length = 2048 - 8
  latin1(String.fromCharCode((length & 127) | 128, length >> 7)).copy(tar, 6)
  latin1(String.fromCharCode(0x0a, ((length - 3) & 127) | 128, (length - 3) >> 7)).copy(tar, 8)
  tar.write('b'.repeat(80), 11)
  for (const [at, text] of [
    [100, '0000644\0'],
    [124, '00000000001\0'],
    [156, '0'],
  ] as const)
    tar.write(text, at, 'latin1')
  tar.fill(' ', 148, 156)
  sum(tar.subarray(0, 512).reduce((all, byte) => all + byte, 0)).copy(tar, 148)
  return tar
}
