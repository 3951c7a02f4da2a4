import t from 'tap'
import { explainWeights } from '../../../src/detect/graph/explain-weights.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { detectorFile, tinyParts } from '../fixture.ts'
import type { NewClassifier } from '../fixture.ts'
import { f32, i32 } from '../matrices.ts'
import type { NewTensor } from '../matrices.ts'

function weightsOf(classifiers: NewClassifier[], made: readonly NewTensor[]) {
  const { settings, tensors } = tinyParts({ tokenizer: 'none', saeWidth: 2, classifiers })
  const names = new Set(made.map(({ name }) => name))
  const others = tensors.filter(({ name }) => !names.has(name))
  return explainWeights(openDetector(detectorFile({ settings, tensors: [...others, ...made] })))
}

const SOFTMAX: NewClassifier = { kind: 'logistic', link: 'softmax', labels: ['none', 'phone.begin', 'phone.inside', 'email'] } // prettier-ignore
const SIGMOID: NewClassifier = { kind: 'logistic', link: 'sigmoid', labels: ['phone', 'email'] }
const TREES: NewClassifier = { kind: 'trees', link: 'sigmoid', aggregate: 'sum', labels: ['phone'], trees: 1, depth: 2 } // prettier-ignore

const softmaxWeights = f32('classifiers.0.weight', [4, 2], Float32Array.of(1, 2, 4, 3, 5, -1, 0, 0))

t.test('a latent speaks for a category by its largest weight, less that for none', async (t) => {
  const weight = weightsOf([SOFTMAX], [softmaxWeights])
  t.equal(weight('phone', 0), 4)
  t.equal(weight('phone', 1), 1)
  t.equal(weight('email', 1), -2)
})

t.test('of several classifiers it is the mean of those that have the category', async (t) => {
  const sigmoid = f32('classifiers.1.weight', [2, 2], Float32Array.of(2, 3, 6, 8))
  const weight = weightsOf([SOFTMAX, SIGMOID], [softmaxWeights, sigmoid])
  t.equal(weight('phone', 0), 3)
  t.equal(weight('email', 1), 3)
  t.equal(weight('address', 0), 0)
})

t.test('of trees it is the share of splits that read the latent', async (t) => {
  const feature = i32('classifiers.0.feature', [0, 1, 0, -1, -1, -1, -1])
  const weight = weightsOf([TREES], [feature])
  t.ok(Math.abs(weight('phone', 0) - 2 / 3) < 1e-6)
  t.ok(Math.abs(weight('phone', 1) - 1 / 3) < 1e-6)
})
