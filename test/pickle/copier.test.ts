import fc from 'fast-check'
import t from 'tap'
import { type Copy, createCopier } from '../../src/pickle/copier.ts'

const FROM = Buffer.from(Array.from({ length: 64 }, (_, i) => i + 1))

const copy = fc
  .record({ from: fc.nat(FROM.length), sizeBytes: fc.nat(FROM.length) })
  .map(({ from, sizeBytes }) => ({ from, sizeBytes: Math.min(sizeBytes, FROM.length - from) }))

/** Each behind the one before, as tensors lie in the new file. */
function placed(parts: readonly Omit<Copy, 'to'>[]): Copy[] {
  let to = 0
  return parts.map((part) => {
    to += part.sizeBytes
    return { ...part, to: to - part.sizeBytes }
  })
}

t.test('copies are whole, however they lie and whatever the pieces are', async () => {
  fc.assert(
    fc.property(
      fc.array(copy, { maxLength: 8 }),
      fc.integer({ min: 1, max: 70 }),
      (parts, step) => {
        const written = new Map<number, number>()
        const take = createCopier(placed(parts), (bytes, begin) => {
          for (const [i, byte] of bytes.entries()) {
            if (written.has(begin + i)) throw new Error('a byte is written twice')
            written.set(begin + i, byte)
          }
        })
        for (let at = 0; at < FROM.length; at += step) take(FROM.subarray(at, at + step), at)
        const wanted = Buffer.concat(parts.map(({ from, sizeBytes }) => FROM.subarray(from, from + sizeBytes))) // prettier-ignore
        const found = Buffer.from([...written].sort(([a], [b]) => a - b).map(([, byte]) => byte))
        return found.equals(wanted) && written.size === wanted.length
      },
    ),
  )
})
