// A SentencePiece model as sentencepiece_model.proto has it, read as protobuf and nothing taken from it:
//
//   ModelProto     1 pieces*   2 trainer_spec   3 normalizer_spec   4 self_test_data   5 denormalizer_spec
//   SentencePiece  1 piece (string)   2 score (float)   3 type (enum)
//
// Every field of a model is a message: its tag, its length, its bytes. Pieces are read to the last byte; the others
// field by field (spec-message.ts), and those may hold any bytes (a character map), so the formats that are found
// elsewhere than at a file's start are looked for.

import { Fault, type Reader } from './fault.ts'
import { createHiddenWatch } from './hidden-formats.ts'
import { createSpecMessage } from './spec-message.ts'
import { createUtf8 } from './utf8.ts'

/** `1`, wire type 2: what every model begins with. */
export const FIRST_TAG = 0x0a
const MESSAGE_TAGS: ReadonlySet<number> = new Set([FIRST_TAG, 0x12, 0x1a, 0x22, 0x2a])
const [PIECE_TAG, SCORE_TAG, TYPE_TAG] = [0x0a, 0x15, 0x18] as const
const SCORE_BYTES = 4
const MAX_LENGTH_BYTES = 4
/** NORMAL to BYTE. */
const MAX_TYPE = 6

type State = (byte: number) => void

export function createSentencepieceReader(): Reader {
  const utf8 = createUtf8()
  const hidden = createHiddenWatch()
  let spec = createSpecMessage()
  let position = 0
  let state: State = messageTag
  let isPiece = false
  /** Bytes still to come of the message, and of the string or number within it. */
  let messageLeft = 0
  let left = 0
  let length = 0
  let lengthBytes = 0
  let hasText = false
  const one = new Uint8Array(1)

  const fail = (sentence: string): never => {
    throw new Fault(position, sentence)
  }

  function messageTag(byte: number): void {
    if (position === 0 && byte !== FIRST_TAG) fail('it does not begin with a piece')
    if (!MESSAGE_TAGS.has(byte)) fail('a field is not one of a model')
    isPiece = byte === FIRST_TAG
    beginLength(messageLength)
  }

  function beginLength(next: State): void {
    length = 0
    lengthBytes = 0
    state = next
  }

  /** Base 128, least first, in as few bytes as it takes; true when that was the last of them. */
  function takeLength(byte: number): boolean {
    length += (byte & 0x7f) * 128 ** lengthBytes
    lengthBytes += 1
    if (byte >= 0x80 && lengthBytes < MAX_LENGTH_BYTES) return false
    if (byte >= 0x80 || (byte === 0 && lengthBytes > 1)) fail('a length is not written as one')
    return true
  }

  function messageLength(byte: number): void {
    if (!takeLength(byte)) return
    messageLeft = length
    hasText = false
    spec = createSpecMessage()
    if (isPiece) state = fieldTag
    else state = messageLeft === 0 ? messageTag : specByte
    if (isPiece && messageLeft === 0) fail('a piece is empty')
  }

  function specByte(byte: number): void {
    messageLeft -= 1
    const trouble = spec.read(byte, messageLeft)
    if (trouble !== undefined) fail(trouble)
    if (messageLeft === 0) state = messageTag
  }

  function fieldTag(byte: number): void {
    messageLeft -= 1
    if (byte === PIECE_TAG && !hasText) beginLength(textLength)
    else if (byte === SCORE_TAG) beginBytes(SCORE_BYTES, score)
    else if (byte === TYPE_TAG) beginBytes(1, type)
    else fail('a field is not one of a piece')
  }

  function beginBytes(count: number, next: State): void {
    left = count
    state = next
    if (left > messageLeft) fail('a field is longer than its piece')
  }

  function textLength(byte: number): void {
    messageLeft -= 1
    if (!takeLength(byte)) return
    if (length === 0) fail('a piece is empty')
    hasText = true
    beginBytes(length, text)
  }

  function text(byte: number): void {
    one[0] = byte
    if (byte === 0 || utf8.read(one) !== -1) fail('a piece is not UTF-8')
    if (left === 1 && !utf8.isWhole) fail('a piece is not UTF-8')
    score()
  }

  function score(): void {
    left -= 1
    messageLeft -= 1
    if (left === 0) endField()
  }

  function type(byte: number): void {
    if (byte === 0 || byte > MAX_TYPE) fail('a piece is of no known type')
    score()
  }

  function endField(): void {
    state = messageLeft === 0 ? messageTag : fieldTag
    if (messageLeft === 0 && !hasText) fail('a piece has no text')
  }

  return {
    write(bytes) {
      const start = position
      for (let i = 0; i < bytes.length; i++) {
        position = start + i
        const byte = bytes[i]
        if (byte !== undefined) state(byte)
      }
      position = start + bytes.length
      hidden.write(bytes)
    },
    end() {
      if (state !== messageTag || position === 0) fail('it ends too early')
      hidden.end()
    },
  }
}
