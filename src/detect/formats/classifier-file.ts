import { readFile, stat } from 'node:fs/promises'
import { onDisk } from '../../client/disk.ts'
import type { DetectorTensor } from '../detector.ts'
import { type Members, membersOf, refuseAt } from '../open/members.ts'
import { parseJson } from '../open/parse-json.ts'
import { readTensors } from '../open/read-tensors.ts'
import { aligned } from '../open/check-finite.ts'
import { DetectorRefused } from '../refused.ts'

/** The key of `__metadata__`: docs/bring-your-own-sae.md has its members. */
const KEY = 'strongroom.classifier'
const MAX_TENSORS = 16
const MAX_BYTES = 1024 * 1024 * 1024
const MAX_JSON = 64 * 1024
const MAX_CLASSES = 64
/** The SAE's width of docs/detector-format.md. */
const MAX_COLUMNS = 1_048_576

/** A classifier as it was trained: on `columns` numbers, those of the latents that it was given. */
export interface TrainedClassifier {
  readonly kind: 'logistic' | 'trees'
  readonly link: 'softmax' | 'sigmoid' | 'identity'
  /** Of trees. */
  readonly aggregate: 'sum' | 'mean' | undefined
  /** In its own words. */
  readonly classes: readonly string[]
  readonly columns: number
  /** The latent of each column; where undefined there is one for each latent of the SAE. */
  readonly latents: Uint32Array | undefined
  /** As in a detector, without `classifiers.N.`. */
  readonly tensors: ReadonlyMap<string, DetectorTensor>
}

/**
 * Reads a classifier that training/export_classifiers.py wrote. Whether its tensors fit together shows when the
 * detector is made.
 *
 * @throws {LocalError}, {DetectorRefused}
 */
export async function readClassifierFile(path: string): Promise<TrainedClassifier> {
  const { size } = await onDisk(path, () => stat(path))
  if (size > MAX_BYTES) refuseAt(path, `takes more than ${MAX_BYTES} bytes`)
  const bytes = await onDisk(path, () => readFile(path))
  return naming(path, () => readClassifier(bytes))
}

/** Of several files, says which. */
function naming<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DetectorRefused)) throw error
    throw new DetectorRefused(path, error.message, error)
  }
}

function readClassifier(bytes: Uint8Array): TrainedClassifier {
  const { metadata, tensors } = readTensors(bytes, MAX_TENSORS)
  const members = membersOf({ value: parse(metadata[KEY]), where: KEY })
  members.integer('format', 1, 1)
  const kind = members.choice('kind', ['logistic', 'trees'])
  const isTrees = kind === 'trees'
  const read = {
    kind,
    link: members.choice('link', isTrees ? ['softmax', 'sigmoid', 'identity'] : ['softmax', 'sigmoid']), // prettier-ignore
    aggregate: isTrees ? members.choice('aggregate', ['sum', 'mean']) : undefined,
    classes: readClasses(members),
    columns: members.integer('columns', 1, MAX_COLUMNS),
  }
  if (members.has('made_by')) members.line('made_by', 200)
  members.end()
  const { latents, ...rest } = Object.fromEntries(tensors)
  return {
    ...read,
    latents: latents && readLatents(latents, read.columns),
    tensors: new Map(Object.entries(rest)),
  }
}

function parse(json: string | undefined): unknown {
  if (json === undefined) return refuseAt('file', `has no ${KEY}`)
  if (json.length > MAX_JSON) refuseAt(KEY, `takes more than ${MAX_JSON} characters`)
  return parseJson(json, KEY)
}

function readClasses(members: Members): string[] {
  const classes = members.list('classes', 1, MAX_CLASSES).map(({ value, where }) => {
    if (typeof value !== 'string' || value.length > 200) return refuseAt(where, 'is no short text')
    return value
  })
  if (new Set(classes).size < classes.length) members.refuse('has a class twice', 'classes')
  return classes
}

function readLatents({ dtype, shape, bytes }: DetectorTensor, columns: number): Uint32Array {
  if (dtype !== 'U32' || shape.length !== 1 || shape[0] !== columns)
    refuseAt('tensor latents', `is not U32 [${columns}]`)
  const latents = aligned(Uint32Array, bytes)
  if (new Set(latents).size < columns) refuseAt('tensor latents', 'has a latent twice')
  return latents
}
