import { isUtf8 } from 'node:buffer'
import type { Detector } from '../detector.ts'
import { tensorOf } from '../tensor-values.ts'
import { aligned } from './check-finite.ts'
import { refuseTensor } from './tensor-taker.ts'

/** Code points that one is read as: the longest of Unicode's compatibility decompositions has 18. */
const MAX_EXPANSION = 32
const MAX_CODE_POINT = 0x10ffff

/**
 * Checks the vocabulary: pieces in UTF-8, none empty or twice, and a map whose code points are such.
 *
 * @throws DetectorRefused naming the tensor at fault
 */
export function checkVocabulary(detector: Detector): void {
  const { text } = detector.settings
  if (text === undefined) return
  checkPieces(detector)
  if (text.tokenizer.kind === 'unigram') checkMap(detector)
}

function checkPieces(detector: Detector): void {
  const { bytes } = tensorOf(detector, 'tokenizer.pieces')
  const ends = uint32s(detector, 'tokenizer.ends')
  if (!isUtf8(bytes)) refuseTensor('tokenizer.pieces', 'is not UTF-8')
  let before = 0
  for (const [i, end] of ends.entries()) {
    if (end <= before) refuseTensor('tokenizer.ends', `does not ascend at piece ${i}`)
    if (end > bytes.length) refuseTensor('tokenizer.ends', `leaves the pieces at piece ${i}`)
    if (((bytes[end] ?? 0) & 0xc0) === 0x80)
      refuseTensor('tokenizer.ends', `cuts a character of UTF-8 at piece ${i}`)
    before = end
  }
  if (before !== bytes.length) refuseTensor('tokenizer.ends', 'ends before the pieces do')
  checkDistinct(bytes, ends)
}

function checkDistinct(bytes: Uint8Array, ends: Uint32Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const seen = new Set<string>()
  let begin = 0
  for (const [i, end] of ends.entries()) {
    // Latin 1 tells the bytes apart as well as UTF-8 does, in half the memory.
    seen.add(text.toString('latin1', begin, end))
    if (seen.size !== i + 1) refuseTensor('tokenizer.pieces', `has piece ${i} twice`)
    begin = end
  }
}

function checkMap(detector: Detector): void {
  const from = uint32s(detector, 'tokenizer.map.from')
  const ends = uint32s(detector, 'tokenizer.map.ends')
  const to = uint32s(detector, 'tokenizer.map.to')
  checkCodePoints('tokenizer.map.from', from)
  checkCodePoints('tokenizer.map.to', to)
  let before = 0
  for (const [i, end] of ends.entries()) {
    if (i > 0 && (from[i] ?? 0) <= (from[i - 1] ?? 0))
      refuseTensor('tokenizer.map.from', `does not ascend at element ${i}`)
    if (end < before) refuseTensor('tokenizer.map.ends', `descends at element ${i}`)
    if (end - before > MAX_EXPANSION)
      refuseTensor('tokenizer.map.ends', `reads one as more than ${MAX_EXPANSION}, at element ${i}`)
    before = end
  }
  if (before !== to.length)
    refuseTensor('tokenizer.map.ends', `ends at ${before}, but tokenizer.map.to at ${to.length}`)
}

function checkCodePoints(name: string, points: Uint32Array): void {
  const at = points.findIndex((p) => p > MAX_CODE_POINT || (p >= 0xd800 && p <= 0xdfff))
  if (at !== -1) refuseTensor(name, `is no code point at element ${at}`)
}

function uint32s(detector: Detector, name: string): Uint32Array {
  return aligned(Uint32Array, tensorOf(detector, name).bytes)
}
