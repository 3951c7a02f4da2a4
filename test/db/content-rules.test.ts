import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { AskedOfTensors, TensorsRef } from '../../db/changes.ts'
import type { Ledger, PublishedFile, PublishOutcome } from '../../db/ledger.ts'
import { addToken, columnsOf, file, NOTHING_ASKED, openAt, publication, tamper } from './fixture.ts'

interface Spec {
  readonly name: string
  readonly dtype?: string
  readonly shape?: readonly number[]
  /** Counts of NaN, +Inf and -Inf; undefined where nothing was measured. */
  readonly counts?: readonly [number, number, number] | undefined
}

const FINITE = [0, 0, 0] as const
let contents = 0

/** A file of its own content, at a path, with these tensors. */
function fileOf(
  path: string,
  tensors: readonly Spec[],
  content = `content ${contents++}`,
): PublishedFile {
  const made = file(content, { path, tensors })
  const dtypeNames = [...new Set(tensors.map(({ dtype = 'F32' }) => dtype))]
  const columns = {
    ...columnsOf(tensors),
    dtypeNames,
    dtypes: Uint8Array.from(tensors, ({ dtype = 'F32' }) => dtypeNames.indexOf(dtype)),
    statistics: Float64Array.from(
      tensors.flatMap((spec) => {
        const counts = 'counts' in spec ? spec.counts : FINITE
        return counts === undefined ? Array<number>(9).fill(NaN) : [...counts, 0, 1, 2, 1, 2, 3]
      }),
    ),
  }
  return { ...made, blob: { ...made.blob, tensors: columns } }
}

async function ledgerOf(t: Test, folder = t.testdir()): Promise<Ledger> {
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  return ledger
}

const publish = (
  ledger: Ledger,
  version: string,
  files: readonly PublishedFile[],
  asked: Partial<AskedOfTensors> = {},
): Promise<PublishOutcome> =>
  ledger.publish(publication(version, { files, asked: { ...NOTHING_ASKED, ...asked } }))

const like = (ref: string, fields: Partial<TensorsRef> = {}): Partial<AskedOfTensors> => ({
  sameTensorsAs: { owner: 'acme', name: 'bert', ref, mayBeMissing: false, ...fields },
})

t.test('under finite the first tensor with NaN or infinity is named', async (t) => {
  const ledger = await ledgerOf(t)
  const table = [
    [[1, 0, 0], 'b'],
    [[0, 1, 0], 'b'],
    [[0, 0, 2 ** 40], 'b'],
  ] as const
  for (const [i, [counts, tensor]] of table.entries()) {
    const files = [
      fileOf('2', [{ name: 'a', counts }]),
      fileOf('1', [{ name: 'c', counts }, { name: 'b', counts }, { name: 'a' }]),
    ].toReversed()
    t.same(await publish(ledger, `1.${i}`, files, { finite: true }), {
      outcome: 'not_finite',
      path: '1',
      tensor,
      dtype: 'F32',
      isMeasured: true,
    })
  }
  const same = [fileOf('1', [{ name: 'a', counts: [1, 1, 1] }])]
  t.match(await publish(ledger, '2', same), { outcome: 'created' }, 'nobody asked')
  const sound = [fileOf('1', [{ name: 'a' }, { name: 'b' }])]
  t.match(await publish(ledger, '3', sound, { finite: true }), { outcome: 'created' })
})

t.test('under finite nothing is believed of what was not measured', async (t) => {
  const ledger = await ledgerOf(t)
  for (const dtype of ['F64', 'F32', 'F16', 'BF16', 'C64', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'X9']) {
    const files = [fileOf('1', [{ name: 'a', dtype, counts: undefined }])]
    const facts = { outcome: 'not_finite', tensor: 'a', dtype, isMeasured: false }
    t.match(await publish(ledger, '1', files, { finite: true }), facts)
  }
  const finite = ['BOOL', 'U8', 'I8', 'U16', 'I16', 'U32', 'I32', 'U64', 'I64', 'F4', 'F6_E2M3']
  const tensors = finite.map((dtype) => ({ name: dtype, dtype, counts: undefined }))
  const files = [fileOf('1', tensors)]
  t.match(await publish(ledger, '1', files, { finite: true }), { outcome: 'created' })
})

t.test('what is refused leaves nothing, and its bytes are no one’s', async (t) => {
  const ledger = await ledgerOf(t)
  const before = await ledger.auditHead()
  const files = [fileOf('1', [{ name: 'a', counts: [1, 0, 0] }])]
  await publish(ledger, '1', files, { finite: true })
  t.equal(await ledger.checkpoint('acme', 'bert'), undefined)
  t.equal(await ledger.hasVaultId(files[0]?.blob?.vaultId ?? ''), false)
  t.same(await ledger.auditHead(), before)
  t.match(await publish(ledger, '1', [fileOf('1', [{ name: 'a' }])]), { outcome: 'created' })
})

t.test('held files are judged as new ones are', async (t) => {
  const ledger = await ledgerOf(t)
  const spoilt = fileOf('1', [{ name: 'a', counts: [1, 0, 0] }])
  await publish(ledger, '1', [spoilt])
  const held = { ...spoilt, blob: undefined }
  t.match(await publish(ledger, '2', [held], { finite: true }), { outcome: 'not_finite' })
  t.match(await publish(ledger, '2', [held], like('1')), { outcome: 'created' })
})

const BASE = [
  { name: 'a', shape: [2, 3] },
  { name: 'b', shape: [] },
  { name: 'c', dtype: 'BF16', shape: [4] },
] as const

t.test('the same tensors are the same in whatever files and order', async (t) => {
  const ledger = await ledgerOf(t)
  const [a, b, c] = BASE
  await publish(ledger, 'base', [fileOf('model', BASE)])
  const sharded = [fileOf('1', [c, a]), fileOf('2', [b])]
  t.match(await publish(ledger, 'sharded', sharded, like('base')), { outcome: 'created' })
  const whole = [fileOf('other', [b, c, a])]
  t.match(await publish(ledger, 'whole', whole, like('sharded')), { outcome: 'created' })
})

t.test('the first tensor that is missing, unexpected or different is named', async (t) => {
  const ledger = await ledgerOf(t)
  const [a, b, c] = BASE
  await publish(ledger, 'base', [fileOf('model', BASE)])
  const form = { dtype: 'F32', shape: [2, 3] }
  const bf16 = { dtype: 'BF16', shape: [4] }
  const table = [
    [[[a, b]], 'c', bf16, undefined],
    [[[b, c]], 'a', form, undefined],
    [[[a, b, c], [{ name: 'A' }]], 'A', undefined, form],
    [[[a, b, c, { name: 'd' }]], 'd', undefined, form],
    [[[{ ...a, shape: [3, 2] }, b, c]], 'a', form, { dtype: 'F32', shape: [3, 2] }],
    [[[a, b, { ...c, dtype: 'F16' }]], 'c', bf16, { dtype: 'F16', shape: [4] }],
    [[[a, b, c], [a]], 'a', undefined, form],
    [[[a, b, c], [{ ...a, shape: [7] }]], 'a', undefined, { dtype: 'F32', shape: [7] }],
    [[[]], 'a', form, undefined],
  ] as const
  for (const [files, tensor, expected, actual] of table) {
    const given = files.map((tensors, i) => fileOf(`f${i}`, tensors))
    const outcome = await publish(ledger, 'new', given, like('base'))
    t.same(outcome, { outcome: 'tensors_differ', tensor, expected, actual })
  }
})

t.test('two versions have the same tensors exactly when their lists are the same', async (t) => {
  const ledger = await ledgerOf(t)
  const spec = fc.record({
    name: fc.constantFrom('a', 'b', 'é', '😀', 'a.b'),
    dtype: fc.constantFrom('F32', 'F16'),
    shape: fc.constantFrom([], [1], [1, 2]),
  })
  const oneFile = fc.uniqueArray(spec, { maxLength: 4, selector: ({ name }) => name })
  const version = fc.array(oneFile, { minLength: 1, maxLength: 3 })
  const listOf = (files: readonly (readonly Spec[])[]): readonly string[] =>
    files
      .flat()
      .map(({ name, dtype, shape }) => JSON.stringify([name, dtype, shape]))
      .sort()
  let count = 0
  const property = async (one: readonly Spec[][], other: readonly Spec[][]): Promise<void> => {
    const [base, next] = [`base${count}`, `next${count++}`]
    await publish(
      ledger,
      base,
      one.map((tensors, i) => fileOf(`f${i}`, tensors)),
    )
    const files = other.map((tensors, i) => fileOf(`f${i}`, tensors))
    const { outcome } = await publish(ledger, next, files, like(base))
    const isSame = JSON.stringify(listOf(one)) === JSON.stringify(listOf(other))
    t.equal(outcome, isSame ? 'created' : 'tensors_differ')
  }
  await fc.assert(fc.asyncProperty(version, version, property), { numRuns: 150 })
  const shuffled = fc.asyncProperty(version, fc.nat(), async (files, seed) => {
    const all = files.flat()
    const at = all.length === 0 ? 0 : seed % all.length
    // Names are unique in a file, so each tensor gets a file of its own.
    await property(files, [...all.slice(at), ...all.slice(0, at)].map((one) => [one]).concat([[]]))
  })
  await fc.assert(shuffled, { numRuns: 50 })
})

t.test('the version to compare with must be there, but for a latest of its own', async (t) => {
  const folder = t.testdir()
  const ledger = await ledgerOf(t, folder)
  const missing = { outcome: 'tensors_ref_missing' }
  const tensors = (name: string) => [fileOf('model', [{ name }])]
  t.same(await publish(ledger, '1', tensors('a'), like('latest')), missing)
  t.same(await publish(ledger, '1', tensors('a'), like('1')), missing, 'nor is it itself')
  const own = like('latest', { mayBeMissing: true })
  t.match(await publish(ledger, '1', tensors('a'), own), { outcome: 'created' })
  t.match(await publish(ledger, '2', tensors('b'), own), { outcome: 'tensors_differ' })
  t.match(await publish(ledger, '2', tensors('a'), own), { outcome: 'created' })
  tamper(folder, "UPDATE versions SET state = 'withdrawn' WHERE version = '1'")
  t.same(await publish(ledger, '3', tensors('a'), like('1')), missing)
  t.equal(await ledger.resolve('acme', 'bert', '3'), undefined)
})

t.test('a publication is judged by the policy that holds, or is told to come again', async (t) => {
  const ledger = await ledgerOf(t)
  await addToken(ledger, 'admin', { role: 'admin' })
  const setPolicy = (name: string | undefined) =>
    ledger.setPolicy({
      tokenId: 'admin',
      roles: ['admin'],
      address: undefined,
      owner: 'acme',
      name,
      rules: { finite: true },
      mustResolve: undefined,
    })
  const tensors = () => [fileOf('model', [{ name: 'a' }], 'a')]
  const changed = { outcome: 'policy_changed' }
  await setPolicy('other')
  t.match(await publish(ledger, '1', tensors()), { outcome: 'created' }, 'another checkpoint’s')
  await setPolicy(undefined)
  t.same(await publish(ledger, '2', tensors()), changed)
  const ofOwner = { serials: { owner: 2, checkpoint: undefined } }
  t.match(await publish(ledger, '2', tensors(), ofOwner), { outcome: 'created' })
  await setPolicy('bert')
  t.same(await publish(ledger, '3', tensors(), ofOwner), changed)
  t.same(await publish(ledger, '3', tensors(), { serials: { owner: 3, checkpoint: 2 } }), changed)
  t.match(await publish(ledger, '3', tensors(), { serials: { owner: 2, checkpoint: 3 } }), {
    outcome: 'created',
  })
  t.match(
    await publish(ledger, '3', tensors()),
    { outcome: 'same' },
    'the same again is not judged',
  )
  t.match(await ledger.verifyAudit(), { valid: true })
})
