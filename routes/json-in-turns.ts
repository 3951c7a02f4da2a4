import { setImmediate } from 'node:timers/promises'

/** A value of a JSON text, said a piece at a time: written at once, a hundred thousand items would keep the event loop busy. */
export type JsonPieces = AsyncIterable<string>

const ITEMS_A_TURN = 500

/** A list whose items are small. */
export async function* listOf<T>(
  items: readonly T[],
  tell: (item: T, index: number) => object,
): AsyncGenerator<string, void, undefined> {
  yield '['
  for (let at = 0; at < items.length; at += ITEMS_A_TURN) {
    const some = items.slice(at, at + ITEMS_A_TURN).map((item, i) => tell(item, at + i))
    yield `${at === 0 ? '' : ','}${JSON.stringify(some).slice(1, -1)}`
    await setImmediate()
  }
  yield ']'
}

/** A list whose items are long themselves. */
export async function* listOfPieces(
  items: Iterable<JsonPieces>,
): AsyncGenerator<string, void, undefined> {
  let before = '['
  for (const item of items) {
    yield before
    yield* item
    before = ','
  }
  yield before === '[' ? '[]' : ']'
}

/** An object, in which a value may come in pieces and what is undefined isn't said. */
export async function* objectOf(
  fields: Readonly<Record<string, unknown>>,
): AsyncGenerator<string, void, undefined> {
  let before = '{'
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    yield `${before}${JSON.stringify(name)}:`
    if (isPieces(value)) yield* value
    else yield JSON.stringify(value)
    before = ','
  }
  yield before === '{' ? '{}' : '}'
}

export async function textOf(pieces: JsonPieces): Promise<string> {
  const all: string[] = []
  for await (const piece of pieces) all.push(piece)
  return all.join('')
}

const isPieces = (value: unknown): value is JsonPieces =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
