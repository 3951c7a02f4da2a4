interface Shard {
  readonly path: string
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
}

/** What an index may say beside its weight_map; libraries write a dozen values. */
const SPARE_VALUES = 10_000

/**
 * Judges the text of a `*.safetensors.index.json` (Hugging Face's sharded checkpoints): an object whose
 * `weight_map` maps tensor names to shard paths, relative to the index's own folder. Every shard that it names
 * must be one of `shards`, whose paths are made relative the same way, spelled like that, and hold that tensor. No
 * key may stand twice: readers differ in which of the two they take.
 *
 * @returns what is wrong, or undefined.
 */
export function checkIndex(text: Uint8Array, shards: readonly Shard[]): string | undefined {
  const { values, keys } = countParts(text)
  if (values > namesIn(shards) + SPARE_VALUES)
    return 'it holds far more values than this version has tensors'
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text))
  } catch {
    return 'it is not valid JSON'
  }
  if (!isObject(parsed)) return 'it is not a JSON object'
  if (keysOf(parsed) !== keys) return 'it has a key twice'
  const map = parsed['weight_map']
  if (!isObject(map)) return 'it has no weight_map object'
  const shardOf = new Map(shards.map((shard) => [shard.path, shard]))
  const held = new Map<Shard, Set<string>>()
  for (const [tensor, path] of Object.entries(map)) {
    if (typeof path !== 'string')
      return 'its weight_map maps a tensor to something else than a path'
    const shard = shardOf.get(path)
    if (shard === undefined)
      return `it names a shard that is not a safetensors file of this version: ${quoted(path)}`
    let names = held.get(shard)
    if (names === undefined) {
      names = namesOf(shard)
      held.set(shard, names)
    }
    if (!names.has(tensor))
      return `it names a tensor that its shard does not hold: ${quoted(tensor)}`
  }
  return undefined
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 200))

const namesIn = (shards: readonly Shard[]): number =>
  shards.reduce((sum, { nameEnds }) => sum + nameEnds.length, 0)

/**
 * About how many values JSON.parse would have to make of it, since a text of brackets and commas would become
 * thirty times its size in memory; and how many keys it has, each of them counted.
 */
function countParts(text: Uint8Array): { values: number; keys: number } {
  let values = 0
  let keys = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]
    if (byte === BACKSLASH && inString) i += 1
    else if (byte === QUOTE) inString = !inString
    else if (inString) continue
    else if (byte === COLON) keys += 1
    else if (byte === COMMA || byte === BRACE || byte === BRACKET) values += 1
  }
  return { values, keys }
}

/** Keys of all objects in a parsed text: fewer than it was written with where one was written twice. */
function keysOf(parsed: unknown): number {
  const left: unknown[] = [parsed]
  let keys = 0
  while (left.length > 0) {
    const value = left.pop()
    if (typeof value !== 'object' || value === null) continue
    const inside: readonly unknown[] = Object.values(value)
    if (!Array.isArray(value)) keys += inside.length
    for (const each of inside) if (typeof each === 'object') left.push(each)
  }
  return keys
}

const [QUOTE, COMMA, BRACKET, BACKSLASH, BRACE, COLON] = Buffer.from('",[\\{:')

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function namesOf({ names, nameEnds }: Shard): Set<string> {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  const set = new Set<string>()
  let begin = 0
  for (const end of nameEnds) {
    set.add(utf8.decode(names.subarray(begin, end)))
    begin = end
  }
  return set
}
