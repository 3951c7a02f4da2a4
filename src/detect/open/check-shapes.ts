import type { DetectorSettings, DetectorTensor, ReadsText } from '../detector.ts'
import { createTensorTaker, refuseTensor } from './tensor-taker.ts'
import type { TensorTaker } from './tensor-taker.ts'

/** Columns that share a scale where a matrix has 4 bits an element. */
const BLOCK = 32
const MAX_TREES = 65_536
/** Values of the leaves of all trees: the engine takes some 200 bytes for each while it loads. */
const MAX_TREE_VALUES = 4_194_304

/**
 * Checks that the tensors are those that the settings call for, each of its dtype and shape: arithmetic on the header,
 * whatever the settings ask for.
 *
 * @throws DetectorRefused naming the tensor at fault
 */
export function checkShapes(
  settings: DetectorSettings,
  held: ReadonlyMap<string, DetectorTensor>,
): void {
  const tensors = createTensorTaker(held)
  if (settings.text !== undefined) takeText(tensors, settings.text)
  takeSae(tensors, settings)
  takeClassifiers(tensors, settings)
  tensors.end()
}

function takeText(tensors: TensorTaker, { tokenizer, host }: ReadsText): void {
  tensors.list('tokenizer.pieces', 'U8')
  tensors.exact('tokenizer.ends', 'U32', [host.pieces])
  if (tokenizer.kind === 'unigram') {
    tensors.exact('tokenizer.scores', 'F32', [host.pieces])
    const points = tensors.list('tokenizer.map.from', 'U32', 0)
    tensors.exact('tokenizer.map.ends', 'U32', [points])
    tensors.list('tokenizer.map.to', 'U32', 0)
  }
  takeEmbeddings(tensors, host)
  for (let n = 0; n < host.layers; n += 1) takeLayer(tensors, `host.layers.${n}`, host)
}

function takeEmbeddings(tensors: TensorTaker, host: ReadsText['host']): void {
  const { width } = host
  if (tensors.dtypeOf('host.embeddings.piece') === 'U8')
    takeBlocks(tensors, 'host.embeddings.piece', host.pieces, width)
  else takeMatrix(tensors, 'host.embeddings.piece', host.pieces, width)
  takeMatrix(tensors, 'host.embeddings.position', host.positions, width)
  if (host.features !== undefined) takeMatrix(tensors, 'host.embeddings.feature', 36, width)
  takeNorm(tensors, 'host.embeddings.norm', width)
}

function takeLayer(tensors: TensorTaker, layer: string, host: ReadsText['host']): void {
  const { width, intermediate } = host
  for (const name of ['query', 'key', 'value', 'output'])
    takeLinear(tensors, `${layer}.attention.${name}`, width, width)
  takeNorm(tensors, `${layer}.attention.norm`, width)
  takeLinear(tensors, `${layer}.up`, intermediate, width)
  takeLinear(tensors, `${layer}.down`, width, intermediate)
  takeNorm(tensors, `${layer}.norm`, width)
}

function takeSae(tensors: TensorTaker, { sae }: DetectorSettings): void {
  takeLinear(tensors, 'sae.encoder', sae.rows, sae.dModel)
  if (sae.architecture === 'jumprelu') tensors.exact('sae.threshold', 'F32', [sae.rows])
  if (sae.rows < sae.width) tensors.exact('sae.latents', 'U32', [sae.rows])
}

function takeClassifiers(tensors: TensorTaker, { classifiers, sae }: DetectorSettings): void {
  let trees = 0
  let values = 0
  for (const [n, { kind, labels }] of classifiers.entries()) {
    const name = `classifiers.${n}`
    if (kind === 'logistic') {
      takeLinear(tensors, name, labels.length, sae.rows)
      continue
    }
    const size = takeTrees(tensors, name, labels.length)
    trees += size.trees
    values += size.nodes * labels.length
    if (trees > MAX_TREES) refuseTensor(`${name}.roots`, `makes more than ${MAX_TREES} trees`)
    if (values > MAX_TREE_VALUES)
      refuseTensor(`${name}.value`, `makes more than ${MAX_TREE_VALUES} values of trees`)
  }
}

function takeTrees(
  tensors: TensorTaker,
  name: string,
  labels: number,
): { trees: number; nodes: number } {
  const nodes = tensors.list(`${name}.feature`, 'I32')
  tensors.exact(`${name}.left`, 'I32', [nodes])
  tensors.exact(`${name}.right`, 'I32', [nodes])
  tensors.exact(`${name}.threshold`, 'F32', [nodes])
  tensors.exact(`${name}.value`, 'F32', [nodes, labels])
  tensors.exact(`${name}.base`, 'F32', [labels])
  return { trees: tensors.list(`${name}.roots`, 'I32'), nodes }
}

function takeLinear(tensors: TensorTaker, name: string, out: number, into: number): void {
  takeMatrix(tensors, `${name}.weight`, out, into)
  tensors.exact(`${name}.bias`, 'F32', [out])
}

function takeNorm(tensors: TensorTaker, name: string, width: number): void {
  tensors.exact(`${name}.weight`, 'F32', [width])
  tensors.exact(`${name}.bias`, 'F32', [width])
}

function takeMatrix(tensors: TensorTaker, name: string, rows: number, columns: number): void {
  const dtype = tensors.dtypeOf(name)
  if (dtype === 'U8' || dtype === 'U32' || dtype === 'I32')
    refuseTensor(name, `is ${dtype}, and no matrix is stored so here`)
  tensors.exact(name, dtype, [rows, columns])
  if (dtype === 'I8') tensors.exact(`${name}.scale`, 'F32', [rows])
}

function takeBlocks(tensors: TensorTaker, name: string, rows: number, columns: number): void {
  if (columns % BLOCK !== 0) refuseTensor(name, `has rows that are not whole blocks of ${BLOCK}`)
  tensors.exact(name, 'U8', [rows, columns / 2])
  tensors.exact(`${name}.scale`, 'F16', [rows, columns / BLOCK])
}
