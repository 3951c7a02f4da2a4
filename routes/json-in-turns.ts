import type { FastifyReply } from 'fastify'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'

/** A value of a JSON text, said a piece at a time: written at once, a hundred thousand items would keep the event loop busy. */
export type JsonPieces = AsyncGenerator<string, void, undefined>

const ITEMS_A_TURN = 500

/** A list whose items are small. */
export async function* listOf<T>(
  items: readonly T[],
  tell: (item: T, index: number) => object,
): JsonPieces {
  yield '['
  for (let at = 0; at < items.length; at += ITEMS_A_TURN) {
    const some = items.slice(at, at + ITEMS_A_TURN).map((item, i) => tell(item, at + i))
    yield `${at === 0 ? '' : ','}${JSON.stringify(some).slice(1, -1)}`
    await setImmediate()
  }
  yield ']'
}

/** A list whose items are long themselves. */
export async function* listOfPieces(items: Iterable<JsonPieces>): JsonPieces {
  let before = '['
  for (const item of items) {
    yield before
    yield* item
    before = ','
    await setImmediate()
  }
  yield before === '[' ? '[]' : ']'
}

/** An object, in which a value may come in pieces and what is undefined isn't said. */
export async function* objectOf(fields: Readonly<Record<string, unknown>>): JsonPieces {
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

/** Of an answer in one piece, about. */
const MOST_AT_ONCE = 1024 * 1024

/** Answers with it: a short one whole, of a known length, and a long one as it comes and is taken. */
export async function sendJson(reply: FastifyReply, pieces: JsonPieces): Promise<FastifyReply> {
  reply.type('application/json; charset=utf-8')
  const first: string[] = []
  for (let length = 0; length < MOST_AT_ONCE;) {
    const next = await pieces.next()
    if (next.done === true) return reply.send(first.join(''))
    first.push(next.value)
    length += next.value.length
  }
  return reply.send(Readable.from(withRest(first, pieces)))
}

async function* withRest(first: readonly string[], rest: JsonPieces): JsonPieces {
  yield* first
  yield* rest
}

const isPieces = (value: unknown): value is JsonPieces =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
