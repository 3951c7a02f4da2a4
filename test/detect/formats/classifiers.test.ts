import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readClassifierFile } from '../../../src/detect/formats/classifier-file.ts'
import { DetectorRefused } from '../../../src/detect/refused.ts'
import { writeIdentity } from './families.ts'
import { computed, imported } from './imported.ts'

// Classifiers that scikit-learn and LightGBM trained say in a detector what they say at home: half of the inputs lie on
// or beside the thresholds of their trees. test/fixtures/classifiers/make.py trained, exported and asked them.

interface Known {
  readonly classes: readonly string[]
  readonly inputs: readonly (readonly number[])[]
  readonly probabilities: readonly (readonly number[])[]
}

const FIXTURES = new URL('../../fixtures/classifiers/', import.meta.url).pathname
const known = JSON.parse(readFileSync(join(FIXTURES, 'expected.json'), 'utf8')) as Readonly<
  Record<string, Known>
>
const COLUMNS = 6
const identity = writeIdentity(t.testdir(), COLUMNS)

for (const [name, { classes, inputs, probabilities }] of Object.entries(known)) {
  t.test(`${name} gives the probabilities of its own library`, async (t) => {
    const classifier = await readClassifierFile(join(FIXTURES, `${name}.safetensors`))
    const { detector } = await imported(identity, undefined, [classifier])
    t.strictSame(detector.settings.classifiers[0]?.labels, classes)
    const found = await computed(detector, Float32Array.from(inputs.flat()))
    t.equal(found.probabilities.length, inputs.length * classes.length)
    const wanted = probabilities.flat()
    const differences = Array.from(found.probabilities, (p, i) => Math.abs(p - (wanted[i] ?? NaN)))
    t.ok(Math.max(...differences) < 2e-6, `at most ${Math.max(...differences)} apart`)
  })
}

t.test('latents that no classifier reads are cut, and the others keep their numbers', async (t) => {
  const sparse = await readClassifierFile(join(FIXTURES, 'logistic-l1.safetensors'))
  const tree = await readClassifierFile(join(FIXTURES, 'gradient-boosting-binary.safetensors'))
  const alone = (await imported(identity, undefined, [sparse])).detector
  t.ok(alone.settings.sae.rows < COLUMNS, 'a weight of 0 is not read')
  const both = (await imported(identity, undefined, [sparse, tree])).detector
  t.ok(both.settings.sae.rows >= alone.settings.sae.rows)
  t.equal(both.settings.classifiers.length, 2)
})

t.test('columns that are some latents of the SAE are read where they belong', async (t) => {
  const classifier = await readClassifierFile(join(FIXTURES, 'random-forest.safetensors'))
  const latents = Uint32Array.of(7, 2, 9, 0, 4, 5)
  const wide = writeIdentity(t.testdir(), 10)
  const { detector } = await imported(wide, undefined, [{ ...classifier, latents }])
  const { inputs = [], probabilities = [] } = known['random-forest'] ?? {}
  const spread = inputs.flatMap((row) => {
    const x = Array<number>(10).fill(3)
    for (const [i, latent] of latents.entries()) x[latent] = row[i] ?? 0
    return x
  })
  const found = await computed(detector, Float32Array.from(spread))
  const wanted = probabilities.flat()
  t.ok(found.probabilities.every((p, i) => Math.abs(p - (wanted[i] ?? NaN)) < 2e-6))
})

t.test('classes become labels of ours, or are refused', async (t) => {
  const classifier = await readClassifierFile(join(FIXTURES, 'logistic.safetensors'))
  const theirs = { ...classifier, classes: ['O', 'B-PER', 'TEL'] }
  const labels = new Map([['O', 'none'], ['B-PER', 'personal_name.begin'], ['TEL', 'phone']]) // prettier-ignore
  const { detector } = await imported(identity, undefined, [theirs], { labels })
  t.strictSame(detector.settings.classifiers[0]?.labels, ['none', 'personal_name.begin', 'phone'])
  t.strictSame(Object.keys(detector.settings.decoding.categories), ['personal_name', 'phone'])
  await t.rejects(imported(identity, undefined, [theirs]), DetectorRefused)
  const same = new Map([...labels, ['TEL', 'none']])
  await t.rejects(imported(identity, undefined, [theirs], { labels: same }), new DetectorRefused('classifiers[0].labels', 'has a label twice')) // prettier-ignore
})

t.test('a classifier of another SAE is refused', async (t) => {
  const classifier = await readClassifierFile(join(FIXTURES, 'logistic.safetensors'))
  const wide = writeIdentity(t.testdir(), 10)
  await t.rejects(imported(wide, undefined, [classifier]), /^columns: /)
  const beyond = { ...classifier, latents: Uint32Array.of(0, 1, 2, 3, 4, 10) }
  await t.rejects(imported(wide, undefined, [beyond]), /^tensor latents: /)
  const dead = new Map(classifier.tensors).set('weight', { dtype: 'F32', shape: [3, 6], bytes: new Uint8Array(72) }) // prettier-ignore
  await t.rejects(imported(identity, undefined, [{ ...classifier, tensors: dead }]), /^classifiers: /) // prettier-ignore
})
