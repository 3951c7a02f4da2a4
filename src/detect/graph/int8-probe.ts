import { createGraphBuilder } from './builder.ts'
import type { Graph } from './graph.ts'
import { dataType } from './onnx.ts'

const ROWS = 8
const INNER = 64
const COLUMNS = 32

/** What each number of the probe's output is where integers are multiplied exactly. */
export const PROBE_SUM = INNER * 255 * 127

/** The shape of the probe's input, f32 `x`: to be filled with 255. */
export const PROBE_SHAPE = [ROWS, INNER] as const

/**
 * Tells whether a machine's CPU multiplies 8-bit integers exactly: those without the instructions for it (VNNI on x86)
 * add pairs of products in 16 bits, where the largest don't fit. Output: f32 `y`, PROBE_SUM throughout where it does;
 * where it doesn't, graphs are to be built in f32.
 */
export function buildInt8Probe(): Graph {
  const graph = createGraphBuilder()
  const x = graph.node('Cast', [graph.input('x', 'float32', PROBE_SHAPE)], {
    attributes: { to: { int: dataType('uint8') } },
  })
  const most = graph.weight(
    'most',
    'int8',
    [INNER, COLUMNS],
    new Uint8Array(INNER * COLUMNS).fill(127),
  )
  const y = graph.node('MatMulIntegerToFloat', [x, most, graph.scalar(1), graph.scalar(1)], {
    domain: 'com.microsoft',
  })
  graph.output('y', y, [ROWS, COLUMNS])
  return graph.finish()
}
