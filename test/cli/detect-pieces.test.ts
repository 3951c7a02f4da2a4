import fc from 'fast-check'
import t from 'tap'
import { type Piece, piecesOf } from '../../src/cli/detect-pieces.ts'

async function* inParts(parts: readonly string[]): AsyncGenerator<string, void, undefined> {
  for (const part of parts) yield await Promise.resolve(part)
}
async function pieces(...parts: readonly string[]): Promise<readonly Piece[]> {
  const all: Piece[] = []
  for await (const piece of piecesOf(inParts(parts))) all.push(piece)
  return all
}

t.test('a short text is one piece, and no text is none', async (t) => {
  t.strictSame(await pieces('a', 'b'), [{ text: 'ab', begin: 0, keepTo: 2 }])
  t.strictSame(await pieces(), [])
  t.strictSame(await pieces('', ''), [])
})

t.test('a long text is cut at the end of a paragraph, and its pieces share nothing', async (t) => {
  const paragraph = `${'word '.repeat(1000)}\n\n`
  const [first, second] = await pieces(paragraph.repeat(3))
  t.strictSame(first, { text: paragraph, begin: 0, keepTo: paragraph.length })
  t.equal(second?.begin, paragraph.length)
})

t.test('without paragraphs it is cut at the end of a line, and its pieces overlap', async (t) => {
  const line = `${'word '.repeat(20)}\n`
  const [first, second] = await pieces(line.repeat(200))
  t.equal(first?.text.at(-1), '\n')
  t.equal(second?.begin, (first?.text.length ?? 0) - 256)
  t.equal(first?.keepTo, (first?.text.length ?? 0) - 128)
})

t.test('without lines it is cut between words, and without words anywhere', async (t) => {
  const [words] = await pieces('wonderful '.repeat(2000))
  t.equal(words?.text.at(-1), ' ')
  const [one] = await pieces('x'.repeat(20_000))
  t.equal(one?.text.length, 8000)
})

t.test('pieces tell every place of a text once, cut no pair and are never too long', async (t) => {
  const unit = fc.constantFrom('x', ' ', '\n', '\n\n', '\r\n\r\n', '😀', 'word ', '\ud83d')
  const long = fc.array(fc.tuple(unit, fc.nat(3000)), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(long, async (runs) => {
      const parts = runs.map(([text, times]) => text.repeat(times))
      const text = parts.join('')
      let told = 0
      for (const piece of await pieces(...parts)) {
        const { begin, keepTo } = piece
        t.ok(piece.text.length <= 8000)
        t.equal(piece.text, text.slice(begin, begin + piece.text.length))
        t.ok(begin <= told && told < keepTo && keepTo <= begin + piece.text.length)
        for (const at of [begin, keepTo, begin + piece.text.length])
          t.ok(at === 0 || (text.codePointAt(at - 1) ?? 0) <= 0xffff, 'no pair is cut')
        told = keepTo
      }
      t.equal(told, text.length)
    }),
    { numRuns: 50 },
  )
})
