import type { DetectorTensor } from '../detector.ts'
import { aligned } from '../open/check-finite.ts'
import { refuseAt } from '../open/members.ts'
import type { TrainedClassifier } from './classifier-file.ts'

// A classifier as it was trained reads columns of its own; one of a detector reads rows of the SAE that are kept.

/** A classifier's place in what it is made for. */
export interface Fitted {
  /** What the file says of it, but for its labels. */
  readonly settings: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, DetectorTensor>
}

/**
 * The latents that a classifier reads: those with a weight other than 0, or at which a tree splits. To leave the others
 * out changes nothing.
 *
 * @throws {DetectorRefused} where it was trained on another SAE
 */
export function latentsRead(classifier: TrainedClassifier, width: number): Set<number> {
  const { latents, columns } = classifier
  if (latents === undefined && columns !== width)
    refuseAt(
      'columns',
      `are ${columns}, but the SAE has ${width} latents, and no tensor says which`,
    )
  const latentOf = (column: number): number => latents?.[column] ?? column
  const read = new Set<number>()
  for (const column of columnsRead(classifier)) {
    if (column < 0 || column >= columns) refuseAt('tensor feature', `reads column ${column}`)
    const latent = latentOf(column)
    if (latent >= width)
      refuseAt('tensor latents', `has ${latent}, but the SAE has ${width} latents`)
    read.add(latent)
  }
  return read
}

function* columnsRead(classifier: TrainedClassifier): Generator<number> {
  if (classifier.kind === 'trees') {
    for (const column of aligned(Int32Array, tensor(classifier, 'feature', 'I32').bytes))
      if (column !== -1) yield column
    return
  }
  const weights = weightsOf(classifier)
  for (let column = 0; column < classifier.columns; column += 1)
    for (let i = column; i < weights.length; i += classifier.columns)
      if (weights[i] !== 0) {
        yield column
        break
      }
}

function weightsOf(classifier: TrainedClassifier): Float32Array {
  const { bytes, shape } = tensor(classifier, 'weight', 'F32')
  const wanted = [classifier.classes.length, classifier.columns]
  if (shape.length !== 2 || shape.some((dim, i) => dim !== wanted[i]))
    refuseAt('tensor weight', `has the shape [${shape.join(', ')}], not [${wanted.join(', ')}]`)
  return aligned(Float32Array, bytes)
}

/** The classifier on the rows that are kept. @param kept the latent of each row, ascending */
export function fitClassifier(classifier: TrainedClassifier, kept: Uint32Array): Fitted {
  const { kind, link, aggregate = 'sum', latents, columns } = classifier
  const rowOfLatent = new Map(Array.from(kept, (latent, row) => [latent, row]))
  const rows = Int32Array.from({ length: columns }, (_, i) => rowOfLatent.get(latents?.[i] ?? i) ?? -1) // prettier-ignore
  const tensors = new Map(classifier.tensors)
  if (kind === 'trees') {
    const { bytes, shape } = tensor(classifier, 'feature', 'I32')
    const feature = aligned(Int32Array, bytes).map((column) => column === -1 ? -1 : (rows[column] ?? -1)) // prettier-ignore
    tensors.set('feature', { dtype: 'I32', shape, bytes: new Uint8Array(feature.buffer) })
    return { settings: { kind, link, aggregate }, tensors }
  }
  const weights = weightsOf(classifier)
  const labels = classifier.classes.length
  const fitted = new Float32Array(labels * kept.length)
  for (let label = 0; label < labels; label += 1)
    for (const [column, row] of rows.entries())
      if (row !== -1) fitted[label * kept.length + row] = weights[label * columns + column] ?? 0
  tensors.set('weight', { dtype: 'F32', shape: [labels, kept.length], bytes: new Uint8Array(fitted.buffer) }) // prettier-ignore
  return { settings: { kind, link }, tensors }
}

function tensor(
  { tensors }: TrainedClassifier,
  name: string,
  dtype: DetectorTensor['dtype'],
): DetectorTensor {
  const found = tensors.get(name) ?? refuseAt(`tensor ${name}`, 'is missing')
  return found.dtype === dtype
    ? found
    : refuseAt(`tensor ${name}`, `is ${found.dtype}, not ${dtype}`)
}
