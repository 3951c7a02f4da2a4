import type { Provider } from '../detection.ts'
import type { Detector } from '../detector.ts'
import { buildInt8Probe, PROBE_SHAPE, PROBE_SUM } from '../graph/int8-probe.ts'
import { buildTextGraph } from '../graph/text-graph.ts'
import { openSession, type Session } from './session.ts'
import { openSideBySide } from './side-by-side.ts'

/** Inferences on the CPU: each has weights of its own in memory. */
const LANES = 2

/**
 * The session that reads text. On a CPU that multiplies 8-bit integers exactly, what the file stores in 8 bits is
 * multiplied in 8 bits, in half the time; everywhere else in f32.
 */
export async function openTextSession(
  detector: Detector,
  provider: Provider,
  threads: number,
): Promise<Session> {
  const arithmetic = provider === 'cpu' && (await multipliesExactly()) ? 'int8' : 'f32'
  const graph = buildTextGraph(detector, arithmetic)
  if (provider !== 'cpu' || threads === 1) return openSession(graph, provider, threads)
  return openSideBySide(graph, LANES, Math.floor(threads / LANES))
}

async function multipliesExactly(): Promise<boolean> {
  const session = await openSession(buildInt8Probe(), 'cpu', 1)
  try {
    const [rows, inner] = PROBE_SHAPE
    const x = { data: new Float32Array(rows * inner).fill(255), shape: PROBE_SHAPE }
    const found = await session.run({ x }, ['y'])
    return found.get('y')?.every((sum) => sum === PROBE_SUM) ?? false
  } finally {
    await session.release()
  }
}
