import { hash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createPieces, indexPieces, type Pieces } from '../../src/client/pieces.ts'
import { planFrom, stepsOf, without, withoutShortRuns } from '../../src/client/reuse-plan.ts'
import { parseSha256 } from '../../src/registry/names.ts'

const KIB = 1024
const CHUNK = 100 * KIB

/** A tensor is one letter as often as told, so that equal ones meet in all places. */
const tensors = fc.array(
  fc.record({
    letter: fc.constantFrom<string>('a', 'b', 'c', 'd'),
    kib: fc.integer({ min: 0, max: 150 }),
  }),
  { maxLength: 8 },
)
type Tensors = typeof tensors extends fc.Arbitrary<infer T> ? T : never

const bytesOf = (file: Tensors, headerBytes: number): Buffer =>
  Buffer.concat([
    Buffer.alloc(headerBytes, 'h'),
    ...file.map(({ letter, kib }) => Buffer.alloc(kib * KIB, letter)),
  ])

function piecesOf(files: readonly { file: Tensors; bytes: Buffer }[], headerBytes: number): Pieces {
  const pieces = createPieces()
  files.forEach(({ file, bytes }, index) => {
    const add = (begin: number, end: number): void => {
      pieces.add(parseSha256(hash('sha256', bytes.subarray(begin, end))), index, begin, end)
    }
    for (let at = 0; at < bytes.length; at += CHUNK) add(at, Math.min(at + CHUNK, bytes.length))
    let begin = headerBytes
    for (const { kib } of file) {
      add(begin, begin + kib * KIB)
      begin += kib * KIB
    }
  })
  return pieces.finish()
}

t.test(
  'what a plan copies are the wanted bytes, and with what it fetches it is all of them',
  async () => {
    fc.assert(
      fc.property(
        fc.array(tensors, { maxLength: 3 }),
        tensors,
        fc.integer({ min: 8, max: 300 }),
        fc.integer({ min: 8, max: 300 }),
        fc.nat(),
        (baseFiles, wantedFile, baseHeader, wantedHeader, somewhere) => {
          const base = baseFiles.map((file) => ({ file, bytes: bytesOf(file, baseHeader) }))
          const wanted = bytesOf(wantedFile, wantedHeader)
          const plan = planFrom(piecesOf(base, baseHeader))
          const segments = plan(piecesOf([{ file: wantedFile, bytes: wanted }], wantedHeader))
          const begin = somewhere % wanted.length
          let position = begin
          for (const step of stepsOf(segments, begin, wanted.length)) {
            if (step.begin !== position || step.end <= step.begin) return false
            position = step.end
            if (step.segment === undefined) continue
            const at = step.segment.at + step.begin - step.segment.begin
            const copied = base[step.segment.file]?.bytes.subarray(at, at + step.end - step.begin)
            if (copied?.equals(wanted.subarray(step.begin, step.end)) !== true) return false
          }
          return position === wanted.length
        },
      ),
      { numRuns: 200 },
    )
  },
)

t.test('a file that is all there is copied, whichever way it was cut', async (t) => {
  const file = ['a', 'b', 'c'].map((letter) => ({ letter, kib: 90 }))
  const base = { file, bytes: bytesOf(file, 100) }
  const shifted = bytesOf(file, 107)
  const plan = planFrom(piecesOf([base], 100))
  t.strictSame(plan(piecesOf([base], 100)), [{ begin: 0, end: base.bytes.length, file: 0, at: 0 }])
  t.strictSame(plan(piecesOf([{ file, bytes: shifted }], 107)), [
    { begin: 107, end: shifted.length, file: 0, at: 100 },
  ])
})

t.test('a run too short for another request is fetched with what lies around it', async (t) => {
  const segment = (begin: number, end: number) => ({ begin, end, file: 0, at: begin })
  const short = [segment(0, 40 * KIB), segment(100 * KIB, 163 * KIB)]
  const long = [segment(200 * KIB, 230 * KIB), { begin: 230 * KIB, end: 270 * KIB, file: 1, at: 0 }]
  t.strictSame(withoutShortRuns([...short, ...long]), long, 'two in a row are one run')
})

t.test('a part that is doubted is cut out, and what is left keeps its place', async (t) => {
  const segments = [{ begin: 100, end: 400, file: 2, at: 1000 }]
  t.strictSame(without(segments, 200, 300), [
    { begin: 100, end: 200, file: 2, at: 1000 },
    { begin: 300, end: 400, file: 2, at: 1200 },
  ])
  t.strictSame(without(segments, 0, 1000), [])
  t.strictSame(without(segments, 0, 100), segments)
})

t.test('however finely a file is cut up, its requests are bounded', async (t) => {
  const [base, wanted] = [createPieces(), createPieces()]
  const runs = 10_000
  const bytes = 64 * KIB
  for (let i = 0; i < runs; i += 1) {
    const digest = parseSha256(hash('sha256', String(i)))
    base.add(digest, 0, i * bytes, (i + 1) * bytes)
    wanted.add(digest, 0, 2 * i * bytes, (2 * i + 1) * bytes)
  }
  const size = 2 * runs * bytes
  const segments = planFrom(base.finish())(wanted.finish())
  const fetches = [...stepsOf(segments, 0, size)].filter(({ segment }) => segment === undefined)
  t.equal(fetches.length, 4096)
})

t.test('pieces are the same when digest and length are', async (t) => {
  const [pieces, others] = [createPieces(), createPieces()]
  const digestOf = (i: number) => parseSha256(hash('sha256', String(i)))
  for (let i = 0; i < 3000; i += 1) pieces.add(digestOf(i), i, i, i + 10)
  others.add(digestOf(1234), 0, 50, 60)
  others.add(digestOf(1234), 0, 50, 61)
  others.add(digestOf(9999), 0, 0, 10)
  others.add(digestOf(1), 0, 5, 5)
  const find = indexPieces(pieces.finish())
  const sought = others.finish()
  t.equal(sought.count, 3, 'a piece of no bytes is none')
  t.strictSame(
    [0, 1, 2].map((i) => find(sought, i)),
    [1234, undefined, undefined],
  )
  t.equal(indexPieces(createPieces().finish())(sought, 0), undefined)
})
