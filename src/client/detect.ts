import { CATEGORIES, type Category } from '../detect/detector.ts'
import { askJson, type Connection, jsonBody } from './connection.ts'
import { UntrustedError } from './failures.ts'
import { count, list, number, object, optional, type Read, text } from './shapes.ts'

/** What is asked of the detector; what isn't said is left to the registry. */
export interface DetectOptions {
  readonly threshold: number | undefined
  readonly categories: readonly Category[] | undefined
  readonly language: string | undefined
  readonly explain: boolean
}

const category: Read<Category> = (value, where) => {
  const found = CATEGORIES.find((name) => name === value)
  if (found === undefined) throw new UntrustedError(`The server names no category at ${where}.`)
  return found
}

const span = object({
  category,
  start: count,
  end: count,
  confidence: number,
  latents: optional(list(object({ latent: count, activation: number, weight: number }))),
})
/** Places are UTF-16 units of the text. */
export type FoundSpan = ReturnType<typeof span>

const detected = object({
  results: list(object({ pii_spans: list(span), model_version: text })),
})

export interface Found {
  readonly spans: readonly FoundSpan[]
  /** `owner/name@version`. */
  readonly model: string
}

/**
 * What the registry's detector finds in each of some texts, in their order.
 *
 * @throws {UntrustedError} where spans don't lie in their text one after the other.
 */
export async function detectIn(
  connection: Connection,
  texts: readonly string[],
  { threshold, categories, language, explain }: DetectOptions,
): Promise<readonly Found[]> {
  const body = jsonBody({ texts, confidence_threshold: threshold, categories, language, explain })
  const ask = { method: 'POST', path: '/detect', body } as const
  const { results } = (await askJson(connection, ask, detected)).document
  if (results.length !== texts.length)
    throw new UntrustedError('The server answers for another number of texts.')
  return results.map(({ pii_spans: spans, model_version: model }, i) => {
    checkOrder(spans, texts[i]?.length ?? 0)
    return { spans, model }
  })
}

function checkOrder(spans: readonly FoundSpan[], length: number): void {
  let before = 0
  for (const { start, end } of spans) {
    if (start < before || end <= start || end > length)
      throw new UntrustedError('The server’s spans don’t lie in the text.')
    before = end
  }
}
