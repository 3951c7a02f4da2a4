import fc from 'fast-check'
import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { verdictOf } from './verdicts.ts'

/** The definition, a byte at a time: every byte is held exactly once, what is empty lies between two. */
function tiles(spans: readonly (readonly [number, number])[]): boolean {
  const end = Math.max(0, ...spans.map(([, end]) => end))
  const held = new Uint8Array(end)
  for (const [from, to] of spans) for (let i = from; i < to; i += 1) held[i] = (held[i] ?? 0) + 1
  const sized = spans.filter(([from, to]) => to > from)
  const inside = (at: number) => sized.some(([from, to]) => from < at && at < to)
  return held.every((n) => n === 1) && spans.every(([from, to]) => from < to || !inside(from))
}

t.test('a file is accepted exactly when its tensors tile its data', async () => {
  const cut = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 })
  const shift = fc.record({ at: fc.nat(5), by: fc.integer({ min: -2, max: 2 }), edge: fc.nat(1) })
  const order = fc.array(fc.nat(9), { minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(cut, fc.option(shift), order, (lengths, shift, order) => {
      let end = 0
      const spans = lengths.map((length) => [end, (end += length)] as [number, number])
      const span = shift && spans[shift.at % spans.length]
      if (shift && span) span[shift.edge] = Math.max(0, (span[shift.edge] ?? 0) + shift.by)
      if (spans.some(([from, to]) => to < from)) return true
      const entries = spans.map(([from, to], i) => ({
        text: u8(`t${i}`, from, to),
        key: order[i] ?? 0,
      }))
      entries.sort((a, b) => a.key - b.key)
      const size = Math.max(0, ...spans.map(([, to]) => to))
      const verdict = verdictOf([rawFile(`{${entries.map(({ text }) => text).join()}}`, size)])
      if (tiles(spans)) return !('reason' in verdict)
      return 'reason' in verdict && ['gap', 'overlap'].includes(verdict.reason)
    }),
    { seed: 20_240_602, numRuns: 2000 },
  )
})
