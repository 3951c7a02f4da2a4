import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { openTensorFile } from '../../../src/detect/formats/tensor-file.ts'
import { DetectorRefused } from '../../../src/detect/refused.ts'
import { type Member, npy, npyOf, zip } from './npz.ts'

// An archive of NumPy's is whatever its sender made it: it is read as far as it is what it says, and no code is in it.

const folder = t.testdir()
let count = 0

async function readAll(file: Uint8Array): Promise<Record<string, number>> {
  count += 1
  const path = join(folder, `${count}.npz`)
  writeFileSync(path, file)
  const { tensors, close } = await openTensorFile(path)
  try {
    const lengths: Record<string, number> = {}
    for (const [name, { read }] of tensors) {
      let length = 0
      for await (const piece of read()) length += piece.length
      lengths[name] = length
    }
    return lengths
  } finally {
    await close()
  }
}

const ZEROS = Buffer.alloc(24)
const array = npy("'<f4'", [2, 3], ZEROS)
const member = (changes: Partial<Member> = {}): Member => ({ name: 'W_enc.npy', content: array, ...changes }) // prettier-ignore

t.test('arrays are read, stored and deflated, in both orders', async (t) => {
  const file = zip([
    member(),
    member({ name: 'b.npy', isDeflated: true }),
    member({ name: 'c.npy', content: npy("'<f8'", [3], ZEROS, 'F') }),
    member({ name: 'scalar.npy', content: npy("'<f4'", [], ZEROS.subarray(4, 8)) }),
  ])
  t.strictSame(await readAll(file), { W_enc: 24, b: 24, c: 24, scalar: 4 })
})

t.test('what NumPy itself wrote is read', async (t) => {
  const file = readFileSync(new URL('../../fixtures/other-formats/arrays.npz', import.meta.url))
  t.ok(Object.values(await readAll(file)).every((length) => length > 0))
})

const REFUSED: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['objects, which are a pickle', zip([member({ content: npy("'|O'", [1], ZEROS.subarray(8)) })]), /pickle/], // prettier-ignore
  ['records of fields', zip([member({ content: npy("[('a', '<f4')]", [6], ZEROS) })]), /dtype/],
  ['another byte order', zip([member({ content: npy("'>f4'", [6], ZEROS) })]), /dtype/],
  ['a header of code', zip([member({ content: npyOf("{'descr': __import__('os'), 'fortran_order': False, 'shape': (6,), }", ZEROS) })]), /header/], // prettier-ignore
  ['a shape beyond its data', zip([member({ content: npy("'<f4'", [1e6, 1e6], ZEROS) })]), /by its shape/], // prettier-ignore
  ['a shape beyond 2^53', zip([member({ content: npy("'<f4'", [1e9, 1e9], ZEROS) })]), /no array has/], // prettier-ignore
  ['a negative shape', zip([member({ content: npy("'<f4'", [-2, -3], ZEROS) })]), /header/],
  ['bytes after its data', zip([member({ content: Buffer.concat([array, ZEROS]) })]), /by its shape/], // prettier-ignore
  ['a member that is no array', zip([member({ name: 'data.pkl' })]), /no array/],
  ['a path', zip([member({ name: '../W_enc.npy' })]), /no array/],
  ['a member twice', zip([member(), member()]), /two members/],
  ['a name of its own where it lies', zip([member({ lies: { localName: 'W_dec.npy' } })]), /another name/], // prettier-ignore
  ['one member over another', zip([member(), member({ name: 'b.npy', lies: { at: 0 } })]), /another member|another name/], // prettier-ignore
  ['a member outside of the archive', zip([member({ lies: { at: 100_000 } })]), /outside|lies/],
  ['encryption', zip([member({ lies: { flags: 1 } })]), /encrypted/],
  ['another compression', zip([member({ lies: { method: 14 } })]), /method 14/],
  ['a wrong checksum', zip([member({ lies: { crc: 1 } })]), /checksum/],
  ['a comment', zip([member()], { tail: Buffer.from('hello') }), /comment/],
  [
    'bytes that do not inflate',
    zip([member({ content: Buffer.alloc(200, 0xff), lies: { method: 8 } })]),
    /inflate/,
  ],
  ['a hundred members', zip(Array.from({ length: 100 }, (_, i) => member({ name: `${i}.npy` }))), /64 members/], // prettier-ignore
  ['no directory', zip([member()]).subarray(0, -10), /ZIP/],
]

for (const [what, file, why] of REFUSED) {
  t.test(`refused: ${what}`, async (t) => {
    const refusal = await readAll(file).catch((error: unknown) => error)
    t.ok(refusal instanceof DetectorRefused, String(refusal))
    t.match(String(refusal), why)
  })
}

t.test('a bomb is refused once it is longer than it said, not once it is inflated', async (t) => {
  const bomb = Buffer.concat([array, Buffer.alloc(128 * 1024 * 1024)])
  const said = { size: array.length }
  const file = zip([member({ content: bomb, isDeflated: true, lies: said })])
  t.ok(file.length < 500_000)
  const before = process.memoryUsage().arrayBuffers
  await t.rejects(readAll(file), /more than the archive says/)
  t.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024, 'a piece is held, no more')
})

t.test('whatever the bytes, they are read or refused', async () => {
  const whole = zip([member({ isDeflated: true }), member({ name: 'b.npy' })])
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const file = Buffer.from(whole)
      for (const [at, byte] of changes) file[at] = byte
      const outcome = await readAll(file).catch((error: unknown) => error)
      return !(outcome instanceof Error) || outcome instanceof DetectorRefused
    }),
    { seed: 3, numRuns: 300 },
  )
})
