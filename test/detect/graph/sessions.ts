import ort from 'onnxruntime-node'
import type { Graph } from '../../../src/detect/graph/graph.ts'
import type { Rows, Tokens } from './forward.ts'

/** What a graph gives, row by row of `[n, …]`; tokens of a batch follow each other. */
export interface Outputs {
  readonly probabilities: Rows
  readonly latents: Rows
}

export async function createSession({ model, externalData }: Graph): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    externalData: [...externalData],
    intraOpNumThreads: 1,
  })
}

/** Runs texts of the same length in one batch. */
export async function runTexts(graph: Graph, texts: readonly Tokens[]): Promise<Outputs> {
  const dims = [texts.length, texts[0]?.pieces.length ?? 0]
  const input = (of: (text: Tokens) => readonly number[]): ort.Tensor =>
    new ort.Tensor('int64', BigInt64Array.from(texts.flatMap(of), BigInt), dims)
  const session = await createSession(graph)
  const feeds = {
    pieces: input(({ pieces }) => pieces),
    mask: input(({ mask }) => mask),
    features: input(({ features }) => features),
  }
  const { features, ...others } = feeds
  const all = session.inputNames.includes('features') ? { ...others, features } : others
  return outputs(await session.run(all))
}

export async function runActivations(graph: Graph, rows: Rows): Promise<Outputs> {
  const session = await createSession(graph)
  const values = Float32Array.from(rows.flat())
  const activations = new ort.Tensor('float32', values, [rows.length, rows[0]?.length ?? 0])
  return outputs(await session.run({ activations }))
}

function outputs(results: Readonly<Record<string, ort.Tensor>>): Outputs {
  return { probabilities: rowsOf(results['probabilities']), latents: rowsOf(results['latents']) }
}

function rowsOf(tensor: ort.Tensor | undefined): Rows {
  const width = tensor?.dims.at(-1) ?? 1
  const data = tensor?.data
  if (!(data instanceof Float32Array)) throw new Error('the output is not f32')
  return Array.from({ length: data.length / width }, (_, i) => [
    ...data.subarray(i * width, (i + 1) * width),
  ])
}
