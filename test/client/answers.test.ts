import fc from 'fast-check'
import t from 'tap'
import {
  auditPage,
  checkpoint,
  description,
  hashes,
  tokenList,
  verdict,
} from '../../src/client/answers.ts'
import { UntrustedError } from '../../src/client/failures.ts'
import { revisionOf } from '../../src/registry/revision.ts'

const said = {
  checkpoint: 'acme/bert',
  version: '1.0',
  metadata: { epoch: '3' },
  files: [
    { path: 'model.safetensors', size: 10, sha256: 'a'.repeat(64), tensors: 1, metadata: {} },
  ],
}
const honest = {
  ...said,
  revision: revisionOf(said),
  state: 'available',
  created_at: '2026-11-22T10:00:00Z',
  created_by: 'ci',
  size: 10,
  tensors: 1,
  parameters: 10,
  tags: ['latest'],
  warnings: [],
}

t.test(
  'a description that hashes to its revision is believed; unknown members are left out',
  async (t) => {
    t.strictSame(
      JSON.stringify(description({ ...honest, extra: 1 }, 'the answer').files),
      JSON.stringify(honest.files),
    )
  },
)

const BENT: readonly (readonly [what: string, bent: unknown])[] = [
  ['null', null],
  ['a list', [honest]],
  ['a member missing', { ...honest, size: undefined }],
  ['a number in a string', { ...honest, size: '10' }],
  ['a negative size', { ...honest, size: -1 }],
  ['a size that no double counts', { ...honest, size: 2 ** 53 }],
  ['another version', { ...honest, version: '1.1' }],
  ['another metadata', { ...honest, metadata: { epoch: '4' } }],
  ['metadata of numbers', { ...honest, metadata: { epoch: 3 } }],
  ['metadata with half a character', { ...honest, metadata: { epoch: '\ud800' } }],
  ['a digest that is none', { ...honest, revision: 'xyz' }],
]

t.test('a description bent in any member is not', async (t) => {
  for (const [what, bent] of BENT)
    t.throws(() => description(bent, 'the answer'), { name: 'UntrustedError' }, what)
})

t.test('whatever JSON comes, a reader returns or throws UntrustedError', async (t) => {
  const readers = [description, hashes, verdict, checkpoint, tokenList, auditPage]
  const bentHonest = fc
    .tuple(fc.constantFrom(...Object.keys(honest)), fc.jsonValue())
    .map(([key, value]) => ({ ...honest, [key]: value }))
  fc.assert(
    fc.property(
      fc.oneof(fc.jsonValue(), bentHonest),
      fc.constantFrom(...readers),
      (value, read) => {
        try {
          read(value, 'the answer')
        } catch (error) {
          if (!(error instanceof UntrustedError)) throw error
        }
      },
    ),
  )
  t.pass()
})
