import fc from 'fast-check'
import t from 'tap'
import { diffVersions, type DiffPage, type DiffTensor } from '../../src/registry/diff.ts'
import { resolveVersion } from '../../src/registry/resolve.ts'
import { compareNames, tensorsByName } from '../../src/registry/tensors-by-name.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'

const server = await startServer(t)
const { ledger } = server.strongroom
const checkpoint = { owner: 'acme', name: 'diff' }

interface Made {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly fill: number
}
/** Path → its tensors. */
type Files = Readonly<Record<string, readonly Made[]>>

let versions = 0
/** Publishes a version of these files. */
async function made(files: Files): Promise<Awaited<ReturnType<typeof resolveVersion>>> {
  const form = new FormData()
  for (const [path, tensors] of Object.entries(files)) {
    const bytes = writeSafetensors(
      tensors.map(({ name, dtype, shape, fill }) => ({
        name,
        dtype,
        shape,
        bytes: new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(fill),
      })),
    )
    form.append('file', new Blob([bytes]), path)
  }
  versions += 1
  const path = `/v1/checkpoints/acme/diff/${versions}`
  const answer = await server.request(path, { token: ADMIN, method: 'POST', body: form })
  if (!answer.ok) throw new Error(await answer.text())
  return resolveVersion(ledger, checkpoint, String(versions))
}

const u8 = (name: string, fill: number): Made => ({ name, dtype: 'U8', shape: [1], fill })

/** All pages as one, and how many there were. */
async function wholeDiff(
  from: Awaited<ReturnType<typeof made>>,
  to: Awaited<ReturnType<typeof made>>,
  limit: number,
): Promise<Omit<DiffPage, 'next'> & { readonly pages: number }> {
  const all: DiffPage[] = []
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: DiffPage = await diffVersions(ledger, from, to, { after, limit })
    all.push(page)
    after = page.next
  }
  return {
    added: all.flatMap(({ added }) => added),
    removed: all.flatMap(({ removed }) => removed),
    changed: all.flatMap(({ changed }) => changed),
    same: all.reduce((sum, { same }) => sum + same, 0),
    pages: all.length,
  }
}

const said = ({ tensor: { name, path } }: DiffTensor): string => `${path}:${name}`
const summary = ({ added, removed, changed, same }: Omit<DiffPage, 'next'>) => ({
  added: added.map(said),
  removed: removed.map(said),
  changed: changed.map(({ from, to }) => `${said(from)} > ${said(to)}`),
  same,
})

t.test('names are in byte order of UTF-8', async () => {
  const names = [
    '',
    'a',
    'a.',
    'a1',
    'b',
    'é',
    '漢',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '🙂',
    '🙂a',
    '\u{10ffff}',
  ]
  const text = fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary' }))
  fc.assert(
    fc.property(text, text, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
      return Math.sign(compareNames(a, b)) === expected
    }),
    { seed: 3, numRuns: 2000 },
  )
})

t.test('what was added, removed and changed is told; moving makes no difference', async (t) => {
  const from = await made({
    'a.safetensors': [u8('gone', 1), u8('kept', 1), u8('other', 1), u8('moved', 7)],
    'b.safetensors': [u8('typed', 1)],
  })
  const to = await made({
    'a.safetensors': [u8('kept', 1), u8('new', 1), u8('other', 2)],
    'c.safetensors': [u8('moved', 7), { ...u8('typed', 1), dtype: 'I8' }],
  })
  const { pages, ...diff } = await wholeDiff(from, to, 100)
  t.strictSame(summary(diff), {
    added: ['a.safetensors:new'],
    removed: ['a.safetensors:gone'],
    changed: [
      'a.safetensors:other > a.safetensors:other',
      'b.safetensors:typed > c.safetensors:typed',
    ],
    same: 2,
  })
  t.equal(pages, 1)
  const back = await wholeDiff(to, from, 100)
  t.strictSame(summary(back).added, ['a.safetensors:gone'])
  t.strictSame(summary(await wholeDiff(from, from, 100)), {
    added: [],
    removed: [],
    changed: [],
    same: 5,
  })
})

t.test('a shape is part of what a tensor is', async (t) => {
  const shaped = (shape: readonly number[]) => made({ m: [{ ...u8('w', 5), shape }] })
  const { changed, same } = await wholeDiff(await shaped([2, 3]), await shaped([3, 2]), 10)
  t.equal(changed.length, 1)
  t.equal(same, 0)
})

t.test('a name in several files is paired by content, then by path, then in order', async (t) => {
  const from = await made({ a: [u8('w', 1)], b: [u8('w', 2)], c: [u8('w', 3)], d: [u8('w', 4)] })
  const to = await made({ a: [u8('w', 2)], c: [u8('w', 9)], x: [u8('w', 8)] })
  const { added, removed, changed, same } = summary(await wholeDiff(from, to, 10))
  t.strictSame(changed, ['c:w > c:w', 'a:w > x:w'])
  t.strictSame([added, removed, same], [[], ['d:w'], 1])
})

t.test('files that both versions share are counted, not read, and on the first page', async (t) => {
  const shared = Array.from({ length: 50 }, (_, i) => u8(`s${i}`, i))
  const own = (fill: number) => Array.from({ length: 5 }, (_, i) => u8(`o${i}`, fill))
  const from = await made({ a: shared, again: shared, m: own(1) })
  const to = await made({ moved: shared, m: own(2) })
  const first = await diffVersions(ledger, from, to, { after: '', limit: 2 })
  t.equal(first.same, 50)
  t.strictSame(summary(first).removed, [], 'not yet')
  const { removed, changed, same } = await wholeDiff(from, to, 2)
  t.equal(same, 50)
  t.equal(removed.length, 50, 'the second copy is gone')
  t.equal(changed.length, 5)
})

t.test('thousands of tensors in many files come in order, however they are cut', async (t) => {
  const names = Array.from({ length: 6000 }, (_, i) => `layer.${(i * 7919) % 6000}.weight`)
  const sharded = (shards: number, change: (i: number) => number) =>
    made(
      Object.fromEntries(
        Array.from({ length: shards }, (_, shard) => [
          `m${shard}.safetensors`,
          names.flatMap((name, i) => (i % shards === shard ? [u8(name, change(i))] : [])),
        ]),
      ),
    )
  const from = await sharded(3, (i) => i % 5)
  const resharded = await sharded(40, (i) => i % 5)
  t.match(summary(await wholeDiff(from, resharded, 10)), {
    added: [],
    removed: [],
    changed: [],
    same: 6000,
  })
  const changed = await sharded(7, (i) => (i % 10 === 0 ? 9 : i % 5))
  const whole = await wholeDiff(from, changed, 10_000)
  const paged = await wholeDiff(from, changed, 7)
  t.equal(whole.changed.length, 600)
  t.strictSame(summary(paged), summary(whole))
  t.equal(whole.pages, 1)
  t.equal(paged.pages, Math.ceil(600 / 7))
  const order = whole.changed.map(({ to }) => to.tensor.name)
  t.strictSame(order, order.toSorted())
  const merged: string[] = []
  const files = resharded.files.map((file) => ({ side: 'from' as const, file }))
  for await (const batch of tensorsByName(ledger, files, 'layer.5'))
    merged.push(...batch.map(({ tensor }) => tensor.name))
  t.strictSame(merged, names.filter((name) => name > 'layer.5').sort())
})

const tensor = fc.record({
  name: fc.constantFrom('a', 'b', 'c', '漢', '🙂', '\uffee'),
  dtype: fc.constantFrom('U8', 'I8'),
  shape: fc.constantFrom([1], [1, 1], [2]),
  fill: fc.integer({ min: 0, max: 2 }),
})
const file = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 })
const anyFiles = fc.dictionary(fc.constantFrom('p', 'q', 'r', 's'), file, {
  minKeys: 1,
  noNullPrototype: true,
})

/** What a diff must say, by counting: same contents cancel out, then each one is paired with any other. */
function counted(from: Files, to: Files) {
  const contents = (files: Files, name: string) =>
    Object.values(files)
      .flat()
      .filter((made) => made.name === name)
      .map(({ dtype, shape, fill }) => JSON.stringify([dtype, shape, fill]))
  let [added, removed, changed, same] = [0, 0, 0, 0]
  for (const name of ['a', 'b', 'c', '漢', '🙂', '\uffee']) {
    const before = contents(from, name)
    const after = contents(to, name).filter((content) => {
      const at = before.indexOf(content)
      if (at !== -1) before.splice(at, 1)
      same += Number(at !== -1)
      return at === -1
    })
    changed += Math.min(before.length, after.length)
    added += Math.max(0, after.length - before.length)
    removed += Math.max(0, before.length - after.length)
  }
  return { added, removed, changed, same }
}

t.test('any two versions differ by what counting says, page by page or at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyFiles,
      anyFiles,
      fc.integer({ min: 1, max: 4 }),
      async (before, after, limit) => {
        const [from, to] = [await made(before), await made(after)]
        const whole = await wholeDiff(from, to, 10_000)
        const paged = await wholeDiff(from, to, limit)
        const { added, removed, changed, same } = whole
        const counts = {
          added: added.length,
          removed: removed.length,
          changed: changed.length,
          same,
        }
        const isSame = JSON.stringify(summary(paged)) === JSON.stringify(summary(whole))
        return JSON.stringify(counts) === JSON.stringify(counted(before, after)) && isSame
      },
    ),
    { seed: 1234, numRuns: 50 },
  )
})
