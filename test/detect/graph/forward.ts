// What docs/detector-format.md says is computed, in the plainest way and in double precision, to hold graphs against.

import type { Detector, HostSettings } from '../../../src/detect/detector.ts'

type Row = readonly number[]
export type Rows = readonly Row[]

/** One text, or one batch of it: `mask` is 1 for a piece, 0 for padding. */
export interface Tokens {
  readonly pieces: readonly number[]
  readonly features: readonly number[]
  readonly mask: readonly number[]
}

function bytesOf(detector: Detector, name: string): ArrayBuffer {
  const tensor = detector.tensors.get(name)
  if (tensor === undefined) throw new Error(`there is no ${name}`)
  return Uint8Array.from(tensor.bytes).buffer
}

const vector = (detector: Detector, name: string): Row => [
  ...new Float32Array(bytesOf(detector, name)),
]
const integers = (detector: Detector, name: string): Row => [
  ...new Int32Array(bytesOf(detector, name)),
]

/** A matrix of any storage, element by element. */
export function matrix(detector: Detector, name: string): Rows {
  const { dtype, shape } = detector.tensors.get(name) ?? { dtype: 'F32', shape: [] }
  const buffer = bytesOf(detector, name)
  const [rows = 0, stored = 0] = shape
  const columns = dtype === 'U8' ? stored * 2 : stored
  const view = new DataView(buffer)
  const isScaled = dtype === 'I8' || dtype === 'U8'
  const scales = new DataView(isScaled ? bytesOf(detector, `${name}.scale`) : buffer)
  const element = (row: number, column: number): number => {
    const i = row * columns + column
    switch (dtype) {
      case 'F32':
        return view.getFloat32(i * 4, true)
      case 'F16':
        return view.getFloat16(i * 2, true)
      case 'BF16':
        return new Float32Array(Uint32Array.of(view.getUint16(i * 2, true) << 16).buffer)[0] ?? 0
      case 'I8':
        return view.getInt8(i) * scales.getFloat32(row * 4, true)
      default: {
        const block = Math.floor(i / 32)
        const j = i % 32
        const byte = view.getUint8(block * 16 + (j % 16))
        return ((j < 16 ? byte & 15 : byte >> 4) - 8) * scales.getFloat16(block * 2, true)
      }
    }
  }
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => element(row, column)),
  )
}

const sum = (values: Row): number => values.reduce((a, b) => a + b, 0)
const dot = (a: Row, b: Row): number => sum(a.map((value, i) => value * (b[i] ?? 0)))
const add = (a: Row, b: Row): Row => a.map((value, i) => value + (b[i] ?? 0))

export function linear(detector: Detector, name: string, x: Rows): Rows {
  const weight = matrix(detector, `${name}.weight`)
  const bias = vector(detector, `${name}.bias`)
  return x.map((row) => weight.map((w, i) => dot(row, w) + (bias[i] ?? 0)))
}

function norm(detector: Detector, name: string, x: Rows, epsilon: number): Rows {
  const weight = vector(detector, `${name}.weight`)
  const bias = vector(detector, `${name}.bias`)
  return x.map((row) => {
    const mean = sum(row) / row.length
    const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length
    const deviation = Math.sqrt(variance + epsilon)
    return row.map((v, i) => ((v - mean) / deviation) * (weight[i] ?? 0) + (bias[i] ?? 0))
  })
}

function softmax(row: Row): Row {
  const largest = Math.max(...row)
  const powers = row.map((value) => Math.exp(value - largest))
  return powers.map((power) => power / sum(powers))
}

/** By the series of which no term is negative (DLMF 7.6.2). */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x)
  let term = x
  let total = x
  for (let n = 1; n < 200; n += 1) {
    term *= (2 * x * x) / (2 * n + 1)
    total += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total
}

const gelu = (x: number): number => (x / 2) * (1 + erf(x / Math.SQRT2))

function attention(
  detector: Detector,
  name: string,
  { heads, width }: HostSettings,
  x: Rows,
  mask: Row,
): Rows {
  const size = width / heads
  const [q, k, v] = ['query', 'key', 'value'].map((part) => linear(detector, `${name}.${part}`, x))
  const of = (rows: Rows | undefined, head: number): Rows =>
    (rows ?? []).map((row) => row.slice(head * size, (head + 1) * size))
  const mixed = x.map((_, token) =>
    Array.from({ length: heads }, (_, head) => {
      const query = of(q, head)[token] ?? []
      const scores = of(k, head).map((key, other) =>
        mask[other] === 1 ? dot(query, key) / Math.sqrt(size) : -Infinity,
      )
      const shares = softmax(scores)
      const values = of(v, head)
      return Array.from({ length: size }, (_, i) => dot(shares, values.map((value) => value[i] ?? 0))) // prettier-ignore
    }).flat(),
  )
  return linear(detector, `${name}.output`, mixed)
}

/** The tapped activations of one text, `[T, width]`. */
export function hostForward(detector: Detector, { pieces, features, mask }: Tokens): Rows {
  const host = detector.settings.text?.host
  if (host === undefined) throw new Error('there is no host')
  const [piece, position] = ['piece', 'position'].map((name) => matrix(detector, `host.embeddings.${name}`)) // prettier-ignore
  const feature = host.features === undefined ? [] : matrix(detector, 'host.embeddings.feature')
  let x: Rows = pieces.map((number, i) => {
    const both = add(piece?.[number] ?? [], position?.[i] ?? [])
    return add(both, feature[features[i] ?? 0] ?? both.map(() => 0))
  })
  x = norm(detector, 'host.embeddings.norm', x, host.epsilon)
  for (let n = 0; n < host.layers; n += 1) {
    const layer = `host.layers.${n}`
    const attended = attention(detector, `${layer}.attention`, host, x, mask)
    const after = x.map((row, i) => add(row, attended[i] ?? []))
    x = norm(detector, `${layer}.attention.norm`, after, host.epsilon)
    const up = linear(detector, `${layer}.up`, x).map((row) => row.map(gelu))
    const down = linear(detector, `${layer}.down`, up)
    x = norm(detector, `${layer}.norm`, x.map((row, i) => add(row, down[i] ?? [])), host.epsilon) // prettier-ignore
  }
  return x
}

/** What the SAE's encoder gives before its threshold, or its choice. */
export function beforeLatents(detector: Detector, x: Rows): Rows {
  return linear(detector, 'sae.encoder', x)
}

export function latentsForward(detector: Detector, before: Rows): Rows {
  const { architecture, k = 0 } = detector.settings.sae
  switch (architecture) {
    case 'relu':
      return before.map((row) => row.map((p) => Math.max(p, 0)))
    case 'jumprelu': {
      const threshold = vector(detector, 'sae.threshold')
      return before.map((row) => row.map((p, i) => (p > (threshold[i] ?? 0) ? p : 0)))
    }
    case 'topk':
      return before.map((row) => {
        const positive = row.map((p) => Math.max(p, 0))
        const order = [...positive.keys()].sort((a, b) => (positive[b] ?? 0) - (positive[a] ?? 0) || a - b) // prettier-ignore
        const kept = new Set(order.slice(0, k))
        return positive.map((p, i) => (kept.has(i) ? p : 0))
      })
  }
}

function treesForward(detector: Detector, name: string, mean: boolean, z: Rows): Rows {
  const [feature, left, right, roots] = ['feature', 'left', 'right', 'roots'].map((field) => integers(detector, `${name}.${field}`)) // prettier-ignore
  const threshold = vector(detector, `${name}.threshold`)
  const value = matrix(detector, `${name}.value`)
  const base = vector(detector, `${name}.base`)
  const leafOf = (row: Row, root: number): number => {
    let node = root
    for (let read = feature?.[node] ?? -1; read !== -1; read = feature?.[node] ?? -1)
      node = ((row[read] ?? 0) <= (threshold[node] ?? 0) ? left : right)?.[node] ?? 0
    return node
  }
  const share = mean ? 1 / (roots?.length ?? 1) : 1
  return z.map((row) =>
    (roots ?? [])
      .map((root) => (value[leafOf(row, root)] ?? []).map((part) => part * share))
      .reduce(add, base),
  )
}

/** The labels of all classifiers, one classifier after the other. */
export function probabilitiesForward(detector: Detector, z: Rows): Rows {
  const parts = detector.settings.classifiers.map((classifier, n) => {
    const name = `classifiers.${n}`
    const scores =
      classifier.kind === 'logistic'
        ? linear(detector, name, z)
        : treesForward(detector, name, classifier.aggregate === 'mean', z)
    switch (classifier.link) {
      case 'softmax':
        return scores.map(softmax)
      case 'sigmoid':
        return scores.map((row) => row.map((score) => 1 / (1 + Math.exp(-score))))
      case 'identity':
        return scores.map((row) => row.map((score) => Math.min(1, Math.max(0, score))))
    }
  })
  return z.map((_, i) => parts.flatMap((part) => part[i] ?? []))
}
