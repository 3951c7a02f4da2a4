import type { Detector } from '../detector.ts'
import type { Encoded } from './encoded.ts'
import { createUnigram } from './unigram.ts'
import { createWordPiece } from './wordpiece.ts'

/** Cuts texts into the pieces of a detector that reads texts. Never throws, whatever the text. */
export function createTokenizer(detector: Detector): (text: string) => Encoded {
  const settings = detector.settings.text?.tokenizer
  if (settings === undefined) throw new Error('This detector reads activations only.')
  return settings.kind === 'unigram'
    ? createUnigram(detector, settings)
    : createWordPiece(detector, settings)
}
