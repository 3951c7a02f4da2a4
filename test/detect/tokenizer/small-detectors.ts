import type { Detector, UnigramSettings, WordPieceSettings } from '../../../src/detect/detector.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { tinyDetector } from '../fixture.ts'
import { f32, u32, type NewTensor } from '../matrices.ts'
import { pieceTensors } from '../vocabulary.ts'

/** A detector that reads texts with these pieces; `map` says what a character is read as. */
export function unigramDetector(
  scored: readonly (readonly [piece: string, score: number])[],
  map: Readonly<Record<string, string>> = {},
): Detector {
  const pieces = scored.map(([piece]) => piece)
  const points = (text: string) => Array.from(text, (c) => c.codePointAt(0) ?? 0)
  const mapped = Object.entries(map).toSorted(([a], [b]) => (points(a)[0] ?? 0) - (points(b)[0] ?? 0)) // prettier-ignore
  let end = 0
  const ends = mapped.map(([, to]) => (end += points(to).length))
  const unknown = pieces.indexOf('<unk>')
  return detectorOf({ kind: 'unigram', begin: 0, end: 1, unknown }, [
    ...pieceTensors(pieces),
    f32(
      'tokenizer.scores',
      [pieces.length],
      Float32Array.from(scored, ([, score]) => score),
    ),
    u32('tokenizer.map.from', mapped.flatMap(([from]) => points(from))), // prettier-ignore
    u32('tokenizer.map.ends', ends),
    u32('tokenizer.map.to', mapped.flatMap(([, to]) => points(to))), // prettier-ignore
  ])
}

export function wordPieceDetector(
  pieces: readonly string[],
  settings: Pick<WordPieceSettings, 'lowercase' | 'stripAccents' | 'longestWord'>,
): Detector {
  const special = { begin: 1, end: 2, unknown: 0 }
  return detectorOf({ kind: 'wordpiece', ...special, ...settings }, pieceTensors(pieces))
}

function detectorOf(
  tokenizer: UnigramSettings | WordPieceSettings,
  tensors: readonly NewTensor[],
): Detector {
  const { settings } = openDetector(tinyDetector())
  if (settings.text === undefined) throw new Error('The fixture reads texts.')
  return {
    settings: { ...settings, text: { ...settings.text, tokenizer } },
    tensors: new Map(
      tensors.map(({ name, shape, bytes }) => [name, { dtype: 'U8', shape, bytes }]),
    ),
  }
}
