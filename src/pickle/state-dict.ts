import { ConversionRefused } from './refused.ts'
import { isKind, nameOf, shown, type Dict, type Tensor, type Value } from './values.ts'

/** The weights of a checkpoint, and what else was in it. */
export interface StateDict {
  /** Keys that lead to the weights, joined; empty where they are the whole. */
  readonly root: string
  readonly tensors: readonly { readonly name: string; readonly tensor: Tensor }[]
  /** Numbers, texts and truths beside the weights. */
  readonly scalars: readonly (readonly [string, string])[]
  /** What else was beside them, and is left out. */
  readonly dropped: readonly string[]
}

export interface StateDictLimits {
  readonly maxTensors: number
  readonly maxDepth: number
  /** Values looked at, each as often as it is led to: a few shared lists can stand for billions. */
  readonly maxVisits: number
  readonly maxScalarLength: number
}

/** Names under which trainers keep the weights. */
const ROOTS = ['state_dict', 'model', 'model_state_dict', 'module', 'params_ema', 'params', 'net']

/**
 * Finds the weights.
 *
 * @param wanted keys that lead to them, joined with dots; undefined to look for them.
 * @throws {ConversionRefused}
 */
export function stateDictOf(
  value: Value,
  wanted: string | undefined,
  limits: StateDictLimits,
): StateDict {
  let visits = 0
  function visit(depth: number): void {
    visits += 1
    if (visits > limits.maxVisits)
      throw new ConversionRefused('limit', `it leads to more than ${limits.maxVisits} values`)
    if (depth > limits.maxDepth)
      throw new ConversionRefused(
        'limit',
        `its values are nested more than ${limits.maxDepth} deep`,
      )
  }

  function tensorsIn(from: Value, depth = 0): number {
    visit(depth)
    if (isKind(from, 'tensor') || isKind(from, 'refused')) return 1
    return childrenOf(from).reduce((sum, [, child]) => sum + tensorsIn(child, depth + 1), 0)
  }

  /** Every part of a dict that has tensors in it. */
  const partsOf = (dict: Dict): string[] =>
    [...dict.entries].flatMap(([key, child]) => {
      const count = tensorsIn(child)
      return count > 0 && typeof key === 'string' ? [`${key} (${count} tensors)`] : []
    })

  function find(dict: Dict): string[] {
    const values = [...dict.entries.values()]
    const hasOwn = values.some((child) => isKind(child, 'tensor') || isKind(child, 'refused'))
    const found = ROOTS.filter((key) => {
      const child = dict.entries.get(key)
      return child !== undefined && isKind(child, 'dict') && tensorsIn(child) > 0
    })
    if (hasOwn && found.length === 0) return []
    const [only, ...more] = found
    if (only !== undefined && more.length === 0 && !hasOwn) return [only]
    const parts = partsOf(dict)
    throw new ConversionRefused(
      'root',
      parts.length === 0
        ? 'there is no tensor in it'
        : `it isn’t clear which part are the weights: ${parts.join(', ')}; name one as the root`,
    )
  }

  function descend(dict: Dict, keys: readonly string[]): Dict {
    let at = dict
    for (const key of keys) {
      const next = at.entries.get(key)
      if (next === undefined || !isKind(next, 'dict'))
        throw new ConversionRefused('root', `there is no mapping ${JSON.stringify(keys.join('.'))} in it; ${partsOf(dict).join(', ') || 'no tensor either'}`) // prettier-ignore
      at = next
    }
    return at
  }

  if (!isKind(value, 'dict'))
    throw new ConversionRefused('root', 'it is no mapping of names to tensors')
  const keys = wanted === undefined ? find(value) : wanted === '' ? [] : wanted.split('.')
  const chosen = descend(value, keys)
  const tensors: { name: string; tensor: Tensor }[] = []
  const scalars: [string, string][] = []
  const dropped: string[] = []
  const names = new Set<string>()

  function take(name: string, from: Value, depth: number): void {
    visit(depth)
    if (isKind(from, 'tensor')) {
      if (tensors.length === limits.maxTensors)
        throw new ConversionRefused('limit', `it has more than ${limits.maxTensors} tensors`)
      tensors.push({ name: claimed(name), tensor: from })
    } else if (isKind(from, 'refused'))
      throw new ConversionRefused(
        'tensor',
        `${JSON.stringify(name)} is ${from.what}, which safetensors does not have`,
      )
    else if (isKind(from, 'opaque'))
      throw new ConversionRefused(
        'pickle',
        `${JSON.stringify(name)}, among the weights, is of the class ${nameOf(from.global)}`,
      )
    else if (isContainer(from)) takeAll(name, from, depth)
    else keep(name, from)
  }

  function takeAll(name: string, from: Value, depth: number): void {
    for (const [key, child] of childrenOf(from)) {
      if (typeof key !== 'string')
        throw new ConversionRefused(
          'root',
          `a key of ${JSON.stringify(name)}, ${shown(key)}, is no string`,
        )
      take(name === '' ? key : `${name}.${key}`, child, depth + 1)
    }
  }

  function claimed(name: string): string {
    if (names.has(name))
      throw new ConversionRefused('root', `two values have the name ${JSON.stringify(name)}`)
    names.add(name)
    return name
  }

  /** Beside the weights. */
  function keep(name: string, from: Value): void {
    const text = scalarText(from)
    if (text === undefined || text.length > limits.maxScalarLength) dropped.push(name)
    else scalars.push([claimed(name), text])
  }

  takeAll('', chosen, 0)
  if (tensors.length === 0) throw new ConversionRefused('root', 'there is no tensor in it')
  if (chosen !== value)
    for (const [key, child] of value.entries) {
      if (key === keys[0]) continue
      const name = typeof key === 'string' ? key : shown(key)
      if (names.has(name)) dropped.push(name)
      else keep(name, child)
    }
  return { root: keys.join('.'), tensors, scalars, dropped }
}

function isContainer(value: Value): boolean {
  return isKind(value, 'dict') || isKind(value, 'list') || isKind(value, 'tuple')
}

/** A list's are named by their places. */
function childrenOf(value: Value): readonly (readonly [Value, Value])[] {
  if (isKind(value, 'dict')) return [...value.entries]
  if (isKind(value, 'list') || isKind(value, 'tuple') || isKind(value, 'set'))
    return value.items.map((item, i) => [String(i), item] as const)
  return []
}

function scalarText(value: Value): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  return undefined
}
