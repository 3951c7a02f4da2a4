import t from 'tap'
import { type Matrix, normsOf, rowsOf } from '../../../src/detect/formats/matrix.ts'

// Matrices longer than a piece, in pieces that end anywhere: each latent's numbers come out whole and in order.

const LATENTS = 900
const COLUMNS = 800

const valueOf = (latent: number, column: number): number => latent * COLUMNS + column

function matrixOf(isByLatent: boolean): Matrix {
  const length = isByLatent ? COLUMNS : LATENTS
  const values = Float32Array.from({ length: LATENTS * COLUMNS }, (_, i) => {
    const [line, at] = [Math.floor(i / length), i % length]
    return isByLatent ? valueOf(line, at) : valueOf(at, line)
  })
  const bytes = new Uint8Array(values.buffer)
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 13) % 700_001)
      yield bytes.subarray(at, at + size)
  }
  return { name: 'W', dtype: 'F32', latents: LATENTS, columns: COLUMNS, isByLatent, read }
}

const WANTED = Uint32Array.from({ length: LATENTS }, (_, i) => i).filter((i) => i % 3 !== 1)

for (const isByLatent of [true, false]) {
  const way = isByLatent ? 'that lie together' : 'gathered in several readings'
  t.test(`numbers of latents ${way}`, async (t) => {
    const found: number[] = []
    let rights = 0
    for await (const { latents, bytes } of rowsOf(matrixOf(isByLatent), WANTED, 500_000)) {
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      for (const [i, latent] of latents.entries()) {
        found.push(latent)
        const row = values.subarray(i * COLUMNS, (i + 1) * COLUMNS)
        if (row.length === COLUMNS && row.every((value, c) => value === valueOf(latent, c)))
          rights += 1
      }
    }
    t.strictSame(found, [...WANTED])
    t.equal(rights, WANTED.length)
  })

  t.test(`norms of latents ${way}`, async (t) => {
    const norms = await normsOf(matrixOf(isByLatent))
    const wanted = Float64Array.from(
      { length: LATENTS },
      (_, latent) =>
      Math.sqrt(Array.from({ length: COLUMNS }, (_, c) => valueOf(latent, c) ** 2).reduce((a, b) => a + b)), // prettier-ignore
    )
    t.ok(norms.every((norm, i) => Math.abs(norm - (wanted[i] ?? 0)) <= 1e-12 * norm))
  })
}
