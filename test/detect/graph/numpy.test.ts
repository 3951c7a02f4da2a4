import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildActivationsGraph } from '../../../src/detect/graph/activations-graph.ts'
import { buildTextGraph } from '../../../src/detect/graph/text-graph.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { LABELS, tinyDetector } from '../fixture.ts'
import type { NewClassifier, TinyOptions } from '../fixture.ts'
import { createRandom } from '../random.ts'
import type { Rows } from './forward.ts'
import { runActivations, runTexts } from './sessions.ts'
import type { Outputs } from './sessions.ts'

/** Of f32 against f64. */
const TOLERANCE = 1e-5

const FORWARD = join(import.meta.dirname, 'forward.py')
const hasNumpy = spawnSync('python3', ['-c', 'import numpy']).status === 0

const TREES: NewClassifier = { kind: 'trees', link: 'softmax', aggregate: 'mean', labels: LABELS }

const CASES: TinyOptions[] = [
  { architecture: 'relu', storage: 'int8', pieceStorage: '4bit' },
  { architecture: 'topk', storage: 'bf16', classifiers: [TREES] },
  { architecture: 'jumprelu', storage: 'f16', features: false, rows: 20 },
  { architecture: 'relu', tokenizer: 'none', storage: 'bf16', classifiers: [TREES] },
  { architecture: 'jumprelu', tokenizer: 'none', storage: 'int8' },
]

t.test('NumPy computes the same from the same file', async (t) => {
  if (!hasNumpy) {
    t.comment('NOT COMPARED: python3 has no numpy here; `pip install numpy` brings it')
    t.pass('the comparison needs NumPy, which is not a dependency of the registry')
    return
  }
  const folder = t.testdir()
  for (const options of CASES) {
    const file = tinyDetector(options)
    const { inputs, found } = await runOne(file)
    writeFileSync(join(folder, 'detector'), file)
    writeFileSync(join(folder, 'inputs'), JSON.stringify({ ...inputs, latents: found.latents }))
    const expected = forward(join(folder, 'detector'), join(folder, 'inputs'))
    t.ok(furthest(found.latents, expected.latents) < TOLERANCE, JSON.stringify(options))
    t.ok(furthest(found.probabilities, expected.probabilities) < TOLERANCE)
  }
})

async function runOne(file: Uint8Array): Promise<{ inputs: object; found: Outputs }> {
  const detector = openDetector(file)
  const random = createRandom(11)
  if (detector.settings.text === undefined) {
    const activations = Array.from({ length: 6 }, () =>
      Array.from({ length: 32 }, () => Math.fround(random.normal())),
    )
    const found = await runActivations(buildActivationsGraph(detector), activations)
    return { inputs: { activations }, found }
  }
  const each = (below: number): number[] => Array.from({ length: 10 }, () => random.integer(below))
  const inputs = { pieces: each(180), features: each(36), mask: Array<number>(10).fill(1) }
  return { inputs, found: await runTexts(buildTextGraph(detector), [inputs]) }
}

function forward(detector: string, inputs: string): Outputs {
  const { stdout, stderr } = spawnSync('python3', [FORWARD, detector, inputs], { encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout) as Outputs
}

function furthest(a: Rows, b: Rows): number {
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - (b[i]?.[j] ?? NaN))))) // prettier-ignore
}
