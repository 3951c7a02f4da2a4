import { isOwnKey } from './own-keys.ts'
import { ConversionRefused } from './refused.ts'
import { isKind, shown, shownName, type Dict, type Tensor, type Value } from './values.ts'

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
  /** Characters of all names, kept or not, and of the scalars: nested dicts can share a long key a million times. */
  readonly maxTextLength: number
}

/** Parts of a checkpoint that a message lists. */
const MOST_LISTED = 20
/** What a name costs beside its characters. */
const NAME_COSTS = 16

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
    if (isTensor(from)) return 1
    let count = 0
    for (const [, child] of childrenOf(from)) count += tensorsIn(child, depth + 1)
    return count
  }

  /** Every part of a dict that has tensors in it, in words. */
  function partsOf(dict: Dict): string {
    const parts = [...dict.entries].flatMap(([key, child]) => {
      const count = tensorsIn(child)
      return count > 0 ? [`${shown(key)} (${count} tensor${count === 1 ? '' : 's'})`] : []
    })
    const more = parts.length > MOST_LISTED ? `, ${parts.length - MOST_LISTED} more` : ''
    return parts.length === 0 ? NO_TENSOR : parts.slice(0, MOST_LISTED).join(', ') + more
  }

  function find(dict: Dict): string[] {
    const found = ROOTS.filter((key) => {
      const child = dict.entries.get(key)
      return child !== undefined && isKind(child, 'dict') && tensorsIn(child) > 0
    })
    const [only, ...more] = found
    if (only !== undefined && more.length === 0) return [only]
    if (only === undefined && [...dict.entries.values()].some(isTensor)) return []
    const parts = partsOf(dict)
    throw new ConversionRefused(
      'root',
      parts === NO_TENSOR
        ? parts
        : `it isn’t clear which part are the weights: ${parts}; name one as the root (--root, ?root=)`,
    )
  }

  function descend(dict: Dict, keys: readonly string[]): Dict {
    let at = dict
    for (const key of keys) {
      const next = at.entries.get(key)
      if (next === undefined || !isKind(next, 'dict'))
        throw new ConversionRefused('root', `there is no mapping ${shown(keys.join('.'))} in it: ${partsOf(dict)}`) // prettier-ignore
      at = next
    }
    return at
  }

  /** The keys that a caller's words stand for: a key may have dots in it. */
  function keysOf(dict: Dict, words: string): string[] {
    const parts = words.split('.')
    if (parts.length === 1 || !dict.entries.has(words)) return words === '' ? [] : parts
    let at: Value | undefined = dict
    for (const part of parts) at = at !== undefined && isKind(at, 'dict') ? at.entries.get(part) : undefined // prettier-ignore
    if (at !== undefined)
      throw new ConversionRefused('root', `${shown(words)} is a key of it, and leads through its keys too`) // prettier-ignore
    return [words]
  }

  if (isKind(value, 'opaque'))
    throw new ConversionRefused('root', `it is an object of the class ${shownName(value.global)}; save its state_dict() instead`) // prettier-ignore
  if (!isKind(value, 'dict'))
    throw new ConversionRefused('root', 'it is no mapping of names to tensors')
  const keys = wanted === undefined ? find(value) : keysOf(value, wanted)
  const chosen = descend(value, keys)
  const tensors: { name: string; tensor: Tensor }[] = []
  const scalars: [string, string][] = []
  const dropped: string[] = []
  const names = new Set<string>()
  let textLength = 0

  /** Before a name is put together: until then it may be parts that others share. */
  function spend(name: string, text = ''): void {
    textLength += name.length + text.length + NAME_COSTS
    if (textLength > limits.maxTextLength)
      throw new ConversionRefused('limit', `its names take more than ${limits.maxTextLength} characters`) // prettier-ignore
  }

  function take(name: string, from: Value, depth: number): void {
    visit(depth)
    if (isKind(from, 'tensor')) {
      if (tensors.length === limits.maxTensors)
        throw new ConversionRefused('limit', `it has more than ${limits.maxTensors} tensors`)
      tensors.push({ name: claimed(name), tensor: from })
    } else if (isKind(from, 'refused'))
      throw new ConversionRefused(
        'tensor',
        `${shown(name)} is ${from.what}, which safetensors does not have`,
      )
    else if (isKind(from, 'opaque'))
      throw new ConversionRefused(
        'pickle',
        `${shown(name)}, among the weights, is of the class ${shownName(from.global)}`,
      )
    else if (isContainer(from)) takeAll(name, from, depth)
    else keep(name, from)
  }

  function takeAll(name: string, from: Value, depth: number): void {
    for (const [key, child] of childrenOf(from)) {
      if (typeof key !== 'string')
        throw new ConversionRefused('root', `a key of ${shown(name)}, ${shown(key)}, is no string`)
      take(name === '' ? key : `${name}.${key}`, child, depth + 1)
    }
  }

  function claimed(name: string): string {
    spend(name)
    if (names.has(name))
      throw new ConversionRefused('root', `two values have the name ${shown(name)}`)
    names.add(name)
    return name
  }

  function drop(name: string): void {
    spend(name)
    dropped.push(name)
  }

  /** Beside the weights. */
  function keep(name: string, from: Value): void {
    const text = scalarText(from)
    if (text === undefined || text.length > limits.maxScalarLength || isOwnKey(name)) {
      drop(name)
      return
    }
    spend('', text)
    scalars.push([claimed(name), text])
  }

  /** What lies around the weights: the other values of each dict on the way to them. */
  function keepAround(dict: Dict): void {
    let at = dict
    for (const [depth, rootKey] of keys.entries()) {
      for (const [key, child] of at.entries) {
        if (key === rootKey) continue
        visit(depth)
        const own = typeof key === 'string' ? key : shown(key)
        const name = [...keys.slice(0, depth), own].join('.')
        if (names.has(name)) drop(name)
        else keep(name, child)
      }
      at = descend(dict, keys.slice(0, depth + 1))
    }
  }

  takeAll('', chosen, 0)
  if (tensors.length === 0) throw new ConversionRefused('root', NO_TENSOR)
  keepAround(value)
  return { root: keys.join('.'), tensors, scalars, dropped }
}

const NO_TENSOR = 'there is no tensor in it'

function isTensor(value: Value): boolean {
  return isKind(value, 'tensor') || isKind(value, 'refused')
}

function isContainer(value: Value): boolean {
  return isKind(value, 'dict') || isKind(value, 'list') || isKind(value, 'tuple')
}

/** A list's are named by their places. One at a time: a list that holds itself is walked at many depths at once. */
function* childrenOf(value: Value): Generator<readonly [Value, Value]> {
  if (isKind(value, 'dict')) yield* value.entries
  if (isKind(value, 'list') || isKind(value, 'tuple') || isKind(value, 'set'))
    for (const [i, item] of value.items.entries()) yield [String(i), item]
}

function scalarText(value: Value): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint' || typeof value === 'number' || typeof value === 'boolean')
    return String(value)
  return undefined
}
