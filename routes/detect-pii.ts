import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { CATEGORIES } from '../src/detect/detector.ts'
import { CategoryName, Text, Threshold } from './detect-schemas.ts'
import { type Ask, DETECTION_REFUSALS, withHeaders } from './detection.ts'
import { millisecondsSince } from './detection-answer.ts'
import { answers } from './schemas.ts'

const DetectPiiRequest = Type.Object(
  { text: Text, threshold: Threshold(0.9) },
  { additionalProperties: false },
)

const Found = Type.Object({
  has_pii: Type.Boolean(),
  categories: Type.Array(CategoryName, { description: 'Those that were found, each once' }),
  entities: Type.Array(
    Type.Object({
      type: CategoryName,
      value: Type.String({ description: 'The part of the text' }),
      start: Type.Integer({ description: 'In UTF-16 units' }),
      end: Type.Integer({ description: 'Exclusive' }),
      confidence: Type.Number(),
    }),
  ),
  confidence: Type.Number({ description: 'The highest of the entities; 0 where there is none' }),
  latency_ms: Type.Number(),
})

/** `POST /detect-pii`. */
export function detectPiiRoute(plain: FastifyInstance, ask: Ask): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  app.post(
    '/detect-pii',
    {
      config: { access: 'detect', changesNothing: true },
      schema: {
        operationId: 'detectPii',
        tags: ['detection'],
        summary: 'Find personal data in a text, and show it',
        body: DetectPiiRequest,
        response: withHeaders(answers({ 200: Found }, ...DETECTION_REFUSALS)),
      },
    },
    async (request, reply) => {
      const begun = performance.now()
      const { text, threshold } = request.body
      const found = await ask(request, reply, (detect, call) =>
        detect.texts({
          surface: 'detect-pii',
          texts: [text],
          language: undefined,
          threshold,
          categories: undefined,
          explain: false,
          ...call,
        }),
      )
      if (found === undefined) return reply.hijack()
      const spans = found.results.flatMap((result) => result.spans)
      return {
        has_pii: spans.length > 0,
        categories: CATEGORIES.filter((name) => spans.some(({ category }) => category === name)),
        entities: spans.map(({ category, start, end, confidence }) => ({
          type: category,
          value: text.slice(start, end),
          start,
          end,
          confidence,
        })),
        confidence: spans.reduce((highest, { confidence }) => Math.max(highest, confidence), 0),
        latency_ms: millisecondsSince(begun),
      }
    },
  )
}
