import type { Detector, WordPieceSettings } from '../detector.ts'
import { tensorOf, uint32sOf } from '../tensor-values.ts'
import { createWordReader, type Words } from './basic-words.ts'
import { createEncodedWriter, type Encoded, type EncodedWriter } from './encoded.ts'
import { createTrie, NO_PIECE, ROOT, type Trie } from './trie.ts'

const HASH = 0x23

/** WordPiece (Wu and others, 2016) as BERT has it: of each word the longest piece first, continuations begin `##`. */
export function createWordPiece(
  detector: Detector,
  settings: WordPieceSettings,
): (text: string) => Encoded {
  const read = createWordReader(settings)
  const trie = createTrie(
    tensorOf(detector, 'tokenizer.pieces').bytes,
    uint32sOf(detector, 'tokenizer.ends'),
  )
  const hash = trie.step(ROOT, HASH)
  const continued = hash === ROOT ? ROOT : trie.step(hash, HASH)

  return (text) => {
    const words = read(text)
    const out = createEncodedWriter(words.length)
    let begin = 0
    for (const end of words.cuts) {
      const pieces =
        end - begin > settings.longestWord
          ? undefined
          : piecesOf(trie, continued, words.points, begin, end)
      if (pieces === undefined)
        out.push(settings.unknown, words.starts[begin] ?? 0, words.ends[end - 1] ?? 0)
      else emit(words, pieces, begin, out)
      begin = end
    }
    return out.done()
  }
}

interface Cut {
  readonly piece: number
  readonly end: number
}

/** The word's pieces, or undefined where there is no way through it. `continued` is ROOT where no piece begins `##`. */
function piecesOf(
  trie: Trie,
  continued: number,
  points: Int32Array,
  begin: number,
  end: number,
): Cut[] | undefined {
  const cuts: Cut[] = []
  for (let from = begin; from < end;) {
    if (from > begin && continued === ROOT) return undefined
    const longest = longestFrom(trie, from === begin ? ROOT : continued, points, from, end)
    if (longest === undefined) return undefined
    cuts.push(longest)
    from = longest.end
  }
  return cuts
}

function longestFrom(
  trie: Trie,
  first: number,
  points: Int32Array,
  from: number,
  end: number,
): Cut | undefined {
  let longest: Cut | undefined
  let node = first
  for (let to = from; to < end;) {
    node = trie.step(node, points[to] ?? 0)
    if (node === ROOT) break
    to += 1
    const piece = trie.pieceAt(node)
    if (piece !== NO_PIECE) longest = { piece, end: to }
  }
  return longest
}

function emit({ starts, ends }: Words, pieces: Cut[], begin: number, out: EncodedWriter): void {
  let from = begin
  for (const { piece, end } of pieces) {
    out.push(piece, starts[from] ?? 0, ends[end - 1] ?? 0)
    from = end
  }
}
