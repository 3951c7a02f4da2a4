import type { Latents } from './latents.ts'
import type { ActivationsWork } from './messages.ts'
import type { Session } from './session.ts'
import { NotFinite, outputOf } from './text-chunks.ts'

/** Thrown where the caller's own activations hold NaN or infinity. */
export class InputNotFinite extends Error {}

/** Tokens that go through the SAE together, where its rows let them. */
const MOST_TOKENS = 256
/** Of the largest array of one inference, in numbers: 64 MB. */
const MOST_NUMBERS = 16 * 1024 * 1024

/** A request's activations on their way through the SAE. */
export interface OpenActivations {
  readonly work: ActivationsWork
  /** `[tokens, labels]`. */
  readonly probabilities: Float32Array
  readonly latents: Latents | undefined
}

export interface ActivationsChunk {
  readonly open: OpenActivations
  /** Tokens. */
  readonly begin: number
  readonly end: number
  readonly done: () => void
  readonly fail: (error: unknown) => void
}

/** How many tokens a chunk has. */
export const tokensAChunk = (rows: number): number =>
  Math.max(1, Math.min(MOST_TOKENS, Math.floor(MOST_NUMBERS / rows)))

/** Runs one chunk. */
export function createActivationsRunner(
  session: Session,
  labels: number,
  rows: number,
): (chunk: ActivationsChunk) => Promise<void> {
  return async ({ open, begin, end, done, fail }) => {
    const { work, latents } = open
    const count = end - begin
    const values = float32sOf(work, begin, end)
    if (!values.every(Number.isFinite)) {
      fail(new InputNotFinite())
      return
    }
    const outputs = latents === undefined ? ['probabilities'] : ['probabilities', 'latents']
    const input = { data: values, shape: [count, work.dModel] }
    const found = await session.run({ activations: input }, outputs)
    const probabilities = outputOf(found, 'probabilities', count * labels)
    if (!probabilities.every(Number.isFinite)) {
      fail(new NotFinite())
      return
    }
    open.probabilities.set(probabilities, begin * labels)
    const all = found.get('latents')
    if (all !== undefined)
      for (let i = 0; i < count; i++)
        latents?.keep(begin + i, all.subarray(i * rows, (i + 1) * rows))
    done()
  }
}

const BYTES = { F32: 4, F16: 2, BF16: 2 } as const

/** The rows of some tokens, as f32. */
function float32sOf(
  { dtype, bytes, dModel }: Pick<ActivationsWork, 'dtype' | 'bytes' | 'dModel'>,
  begin: number,
  end: number,
): Float32Array {
  const row = dModel * BYTES[dtype]
  // A copy, and so aligned to any element.
  const { buffer } = Uint8Array.from(bytes.subarray(begin * row, end * row))
  if (dtype === 'F32') return new Float32Array(buffer)
  if (dtype === 'F16') return Float32Array.from(new Float16Array(buffer))
  // The upper half of an f32.
  return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer)
}
