import type { Detector, UnigramSettings } from '../detector.ts'
import { float32sOf, tensorOf, uint32sOf } from '../tensor-values.ts'
import { createEncodedWriter, type Encoded, type EncodedWriter } from './encoded.ts'
import { createReadingWriter, type Reading } from './reading.ts'
import { createTrie, NO_PIECE, ROOT, type Trie } from './trie.ts'

// Unigram (Kudo, 2018) as sentencepiece and Hugging Face's tokenizers (Metaspace, always, split) do it: the best way
// through each word by the sum of its pieces' scores. Words of any length take time in proportion to their length
// (times that of the longest piece), and memory for one path.

const SPACE = 0x20
/** ▁, which stands for a space. */
const MARK = 0x2581
/** What a code point that no piece covers scores below the lowest score. */
const UNKNOWN_PENALTY = 10

export function createUnigram(
  detector: Detector,
  settings: UnigramSettings,
): (text: string) => Encoded {
  const read = createReader(detector)
  const trie = createTrie(
    tensorOf(detector, 'tokenizer.pieces').bytes,
    uint32sOf(detector, 'tokenizer.ends'),
  )
  const scores = float32sOf(detector, 'tokenizer.scores')
  const findPath = createPathFinder(trie, scores, settings.unknown)

  return (text) => {
    const reading = read(text)
    const { points, length } = reading
    const out = createEncodedWriter(length)
    const path = createPath(length)
    for (let begin = 0; begin < length;) {
      let end = begin + 1
      while (end < length && points[end] !== MARK) end += 1
      findPath(points, begin, end, path)
      emit(reading, path, begin, end, settings.unknown, out)
      begin = end
    }
    return out.done()
  }
}

/**
 * Code points through the detector's map; a space after a space is dropped, the others become ▁, and the first word
 * gets one. A ▁ has the empty range where its white space begins.
 */
function createReader(detector: Detector): (text: string) => Reading {
  const mapped = readMap(detector)
  return (text) => {
    const out = createReadingWriter(text.length + 1)
    let afterSpace = false
    const push = (point: number, start: number, end: number) => {
      if (point === SPACE) {
        if (!afterSpace) out.push(MARK, start, start)
      } else {
        if (out.last() === -1 && point !== MARK) out.push(MARK, 0, 0)
        if (point === MARK) out.push(MARK, start, start)
        else out.push(point, start, end)
      }
      afterSpace = point === SPACE
    }
    for (let at = 0; at < text.length;) {
      const point = text.codePointAt(at) ?? 0
      const next = at + (point > 0xffff ? 2 : 1)
      const replaced = mapped.get(point)
      if (replaced === undefined) push(point, at, next)
      else for (const other of replaced) push(other, at, next)
      at = next
    }
    return out.done()
  }
}

function readMap(detector: Detector): Map<number, Uint32Array> {
  const from = uint32sOf(detector, 'tokenizer.map.from')
  const ends = uint32sOf(detector, 'tokenizer.map.ends')
  const to = uint32sOf(detector, 'tokenizer.map.to')
  const mapped = new Map<number, Uint32Array>()
  let begin = 0
  for (const [i, point] of from.entries()) {
    const end = ends[i] ?? begin
    mapped.set(point, to.subarray(begin, end))
    begin = end
  }
  return mapped
}

/** The best way to each place of a word: its score, where its last piece begins, and that piece. */
interface Path {
  readonly scores: Float64Array
  readonly from: Int32Array
  readonly pieces: Int32Array
}

function createPath(length: number): Path {
  return {
    scores: new Float64Array(length + 1),
    from: new Int32Array(length + 1),
    pieces: new Int32Array(length + 1),
  }
}

/** Fills the path for the word `points[begin, end)`, at those same places. Of equal ways the one found first stays. */
function createPathFinder(trie: Trie, scores: Float32Array, unknown: number) {
  const unknownScore = lowest(scores) - UNKNOWN_PENALTY

  return (points: Int32Array, begin: number, end: number, path: Path): void => {
    path.scores.fill(-Infinity, begin, end + 1)
    path.scores[begin] = 0

    const offer = (from: number, to: number, piece: number, score: number) => {
      if (score <= (path.scores[to] ?? 0)) return
      path.scores[to] = score
      path.from[to] = from
      path.pieces[to] = piece
    }

    for (let from = begin; from < end; from += 1) {
      const before = path.scores[from] ?? 0
      let isCovered = false
      let node = ROOT
      for (let to = from; to < end;) {
        node = trie.step(node, points[to] ?? 0)
        if (node === ROOT) break
        to += 1
        const piece = trie.pieceAt(node)
        if (piece === NO_PIECE) continue
        offer(from, to, piece, before + (scores[piece] ?? 0))
        if (to === from + 1) isCovered = true
      }
      if (!isCovered) offer(from, from + 1, unknown, before + unknownScore)
    }
  }
}

function lowest(scores: Float32Array): number {
  return scores.reduce((least, score) => Math.min(least, score), Infinity)
}

/** The word's pieces in order, unknown neighbours as one. */
function emit(
  { starts, ends }: Reading,
  path: Path,
  begin: number,
  end: number,
  unknown: number,
  out: EncodedWriter,
): void {
  const cuts: number[] = []
  for (let to = end; to > begin;) {
    const piece = path.pieces[to] ?? 0
    let from = path.from[to] ?? begin
    if (piece === unknown)
      while (from > begin && path.pieces[from] === unknown) from = path.from[from] ?? begin
    cuts.push(to, from)
    to = from
  }
  for (let i = cuts.length - 1; i > 0; i -= 2) {
    const from = cuts[i] ?? 0
    const to = cuts[i - 1] ?? 0
    // A word's mark comes first in it, and where more follows takes no part in the range.
    const first = from === begin && to > from + 1 ? from + 1 : from
    out.push(path.pieces[to] ?? 0, starts[first] ?? 0, ends[to - 1] ?? 0)
  }
}
