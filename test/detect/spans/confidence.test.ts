import t from 'tap'
import { calibrated } from '../../../src/detect/spans/confidence.ts'

t.test('a confidence lies on the line between the points around its probability', async (t) => {
  const points = [[0.2, 0.1], [0.6, 0.5], [0.6, 0.7], [1, 0.9]] as const // prettier-ignore
  for (const [probability, confidence] of [
    [0, 0.1],
    [0.2, 0.1],
    [0.4, 0.3],
    [0.6, 0.5],
    [0.8, 0.8],
    [1, 0.9],
  ] as const)
    t.ok(Math.abs(calibrated(points, probability) - confidence) < 1e-12, `of ${probability}`)
})

t.test(
  'beyond the outermost points it is theirs, and without points the probability',
  async (t) => {
    t.equal(calibrated([[0.5, 0.4]], 0.1), 0.4)
    t.equal(calibrated([[0.5, 0.4]], 0.9), 0.4)
    t.equal(calibrated([], 0.9), 0.9)
  },
)
