import type { DetectorTensor } from '../detector.ts'
import { refuseAt } from '../open/members.ts'
import { type FloatDtype, floatsOf } from './float-values.ts'
import { rowsOf } from './matrix.ts'
import type { Sae } from './sae.ts'

/** An SAE's encoder as a detector holds it: x · Wᵀ + b on activations as they are. */
export interface FoldedEncoder {
  readonly dtype: Extract<DetectorTensor['dtype'], 'F32' | 'F16' | 'BF16'>
  /** Row after row, some at a time. Read once. */
  readonly weight: () => AsyncGenerator<Uint8Array>
  /** Known once the weight was read to its end. */
  readonly bias: () => Float32Array
}

/**
 * Folds whatever is done to an activation before and after the product into weights and bias, in f64, rounded to f32
 * once. Weights that nothing scales stay as they are stored, bit for bit (f64 becomes f32); what is subtracted from the
 * activation touches the bias alone.
 *
 * @param kept the latents to be held, ascending
 * @throws {DetectorRefused} while it is read: weights that are not finite, or beyond f32
 */
export function foldEncoder(sae: Sae, kept: Uint32Array): FoldedEncoder {
  const { encoder, bias, inputScale, subtracted, scales } = sae
  const { columns } = encoder
  const dtype = storedDtype(sae, kept.length)
  const folded = new Float32Array(kept.length)
  let row = 0

  function foldRow(latent: number, values: Float32Array | Float64Array): void {
    const scale = scales?.[latent] ?? 1
    let dot = 0
    for (let i = 0; i < columns; i += 1) {
      const value = values[i] ?? 0
      if (!Number.isFinite(value)) refuseRow(latent)
      if (subtracted !== undefined) dot += value * (subtracted[i] ?? 0)
      values[i] = value * scale * inputScale
    }
    folded[row] = scale * ((bias[latent] ?? 0) - dot)
    if (!Number.isFinite(folded[row])) refuseRow(latent)
    row += 1
  }

  const refuseRow = (latent: number): never =>
    refuseAt(`tensor ${encoder.name}`, `is not finite for latent ${latent}, or not in f32`)

  async function* weight(): AsyncGenerator<Uint8Array> {
    for await (const { latents, bytes } of rowsOf(encoder, kept)) {
      // F32 and F64 may be views of these bytes, and what is scaled is written over them.
      const values = floatsOf(encoder.dtype, bytes)
      for (const [i, latent] of latents.entries())
        foldRow(latent, values.subarray(i * columns, (i + 1) * columns))
      if (dtype === encoder.dtype && dtype !== 'F32') yield bytes
      else yield float32Bytes(values, latents, refuseRow)
    }
  }

  return { dtype, weight, bias: () => folded }
}

/** Two bytes an element only where the tensors after it are still aligned. */
function storedDtype({ encoder, inputScale, scales }: Sae, rows: number): FoldedEncoder['dtype'] {
  const isScaled = inputScale !== 1 || (scales?.some((scale) => scale !== 1) ?? false)
  const isEven = (rows * encoder.columns) % 2 === 0
  const kept: FloatDtype = isScaled || !isEven ? 'F32' : encoder.dtype
  return kept === 'F64' ? 'F32' : kept
}

function float32Bytes(
  values: Float32Array | Float64Array,
  latents: Uint32Array,
  refuseRow: (latent: number) => never,
): Uint8Array {
  const rounded = Float32Array.from(values)
  const at = rounded.findIndex((value) => !Number.isFinite(value))
  if (at !== -1) refuseRow(latents[Math.floor((at * latents.length) / rounded.length)] ?? 0)
  return new Uint8Array(rounded.buffer)
}
