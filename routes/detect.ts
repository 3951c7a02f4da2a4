import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { Detections } from '../src/detect/detection.ts'
import { createOffsets } from '../src/detect/offsets.ts'
import { redact } from '../src/detect/redact.ts'
import { invalidField } from '../src/errors.ts'
import { Detected, DetectedOfAll, DetectRequest } from './detect-schemas.ts'
import { type Ask, DETECTION_REFUSALS, withHeaders } from './detection.ts'
import { millisecondsSince, tellDetection } from './detection-answer.ts'
import { type JsonPieces, listOfPieces, objectOf, sendJson } from './json-in-turns.ts'
import { answers } from './schemas.ts'

type DetectBody = Static<typeof DetectRequest>

/** `POST /detect`. */
export function detectRoute(plain: FastifyInstance, ask: Ask): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  app.post(
    '/detect',
    {
      config: { access: 'detect', changesNothing: true },
      schema: {
        operationId: 'detect',
        tags: ['detection'],
        summary: 'Find personal data in a text, or in several',
        description:
          'Nothing is ever cut: a text that is too long is refused, and so are too many. On any failure the answer is an error, never an empty list. `X-Checkpoint-*` are the detector’s.',
        body: DetectRequest,
        response: withHeaders(
          answers(
            {
              200: {
                description: 'The answer for `text`; `{results: […]}` for `texts`',
                content: { 'application/json': { schema: { anyOf: [Detected, DetectedOfAll] } } },
              },
            },
            ...DETECTION_REFUSALS,
          ),
        ),
      },
    },
    async (request, reply) => {
      const begun = performance.now()
      const { body } = request
      const texts = textsOf(body)
      const { confidence_threshold: threshold, categories, language, explain } = body
      const wanted = { surface: 'detect', texts, language, threshold, categories, explain } as const
      const found = await ask(request, reply, (detect, call) =>
        detect.texts({ ...wanted, ...call }),
      )
      if (found === undefined) return reply.hijack()
      const results = tellTexts(texts, body, found, millisecondsSince(begun))
      const answer =
        body.text === undefined ? objectOf({ results: listOfPieces(results) }) : only(results)
      return sendJson(reply, answer)
    },
  )
}

/** @throws {RegistryError} INVALID_REQUEST */
function textsOf({ text, texts }: DetectBody): readonly string[] {
  if (text !== undefined && texts === undefined) return [text]
  if (text === undefined && texts !== undefined) return texts
  throw invalidField('body', 'must have `text` or `texts`, and not both')
}

/** One after the other, so that no more than one text is busy being told. */
function* tellTexts(
  texts: readonly string[],
  { offset_encoding: unit, include_text: withText, redact: labels, language = 'und' }: DetectBody,
  found: Detections,
  tookMs: number,
): Generator<JsonPieces, void, undefined> {
  for (const [i, detection] of found.results.entries()) {
    const text = texts[i] ?? ''
    yield tellDetection({
      found,
      detection,
      unit,
      placeOf: createOffsets(text, unit),
      text: withText ? text : undefined,
      redacted:
        labels === false ? undefined : redact(text, detection.spans, labels === true ? {} : labels),
      language,
      tookMs,
    })
  }
}

async function* only(results: Iterable<JsonPieces>): JsonPieces {
  for (const result of results) yield* result
}
