import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { readActivations } from '../src/detect/read-activations.ts'
import { CategoryName, Detected, Threshold } from './detect-schemas.ts'
import { type Ask, DETECTION_REFUSALS, withHeaders } from './detection.ts'
import { millisecondsSince, tellDetection } from './detection-answer.ts'
import { sendJson } from './json-in-turns.ts'
import { answers } from './schemas.ts'

const ActivationsQuery = Type.Object(
  {
    confidence_threshold: Threshold(0.8),
    categories: Type.Optional(
      Type.Array(CategoryName, { minItems: 1, description: 'Repeated: only spans of these' }),
    ),
    explain: Type.Optional(
      Type.String({ enum: ['0', '1'], description: '1 adds to each span its strongest latents' }),
    ),
  },
  { additionalProperties: false },
)

/** `POST /detect/activations`. */
export function detectActivationsRoute(plain: FastifyInstance, ask: Ask): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  app.post(
    '/detect/activations',
    {
      config: { access: 'detect', changesNothing: true },
      schema: {
        operationId: 'detectActivations',
        tags: ['detection'],
        summary: 'Find personal data in the activations of the caller’s own model',
        description:
          'The body is a safetensors file, of any content type: `activations` `[tokens, d_model]` (F32, F16 or BF16) of the model and layer that the detector’s SAE was trained on, without special tokens, and, if the answer is to say where in the text, `offsets` `[tokens, 2]` (I32, U32, I64 or U64): begin and end of each token. Without them a span says from which token to which.',
        querystring: ActivationsQuery,
        body: { content: { 'application/octet-stream': { schema: {} } } },
        response: withHeaders(answers({ 200: Detected }, ...DETECTION_REFUSALS, 422)),
      },
    },
    async (request, reply) => {
      const begun = performance.now()
      const { confidence_threshold: threshold, categories, explain } = request.query
      const { body } = request
      const activations = readActivations(body instanceof Uint8Array ? body : new Uint8Array(0))
      const found = await ask(request, reply, (detect, call) =>
        detect.activations({
          ...activations,
          surface: 'activations',
          threshold,
          categories,
          explain: explain === '1',
          ...call,
        }),
      )
      if (found === undefined) return reply.hijack()
      const [detection] = found.results
      if (detection === undefined) throw new Error('there is no detection of the activations')
      const answer = tellDetection({
        found,
        detection,
        unit: activations.offsets === undefined ? 'token' : 'as_sent',
        placeOf: (place) => place,
        language: 'und',
        tookMs: millisecondsSince(begun),
      })
      return sendJson(reply, answer)
    },
  )
}
