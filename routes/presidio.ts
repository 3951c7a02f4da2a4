import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { type Static, Type } from 'typebox'
import type { DetectedSpan, Detection, DetectorModel } from '../src/detect/detection.ts'
import type { Category } from '../src/detect/detector.ts'
import { createOffsets } from '../src/detect/offsets.ts'
import { invalidField } from '../src/errors.ts'
import { Text } from './detect-schemas.ts'
import { type Ask, DETECTION_REFUSALS, withHeaders } from './detection.ts'
import { type JsonPieces, listOf, listOfPieces, sendJson } from './json-in-turns.ts'

// Presidio's analyzer, as its own server answers: https://microsoft.github.io/presidio/api-docs/api-docs.html. Clients
// that were written for it send null for what they don't say.

const ENTITIES = {
  personal_name: 'PERSON',
  address: 'LOCATION',
  phone: 'PHONE_NUMBER',
  email: 'EMAIL_ADDRESS',
} as const satisfies Record<Category, string>
type Entity = (typeof ENTITIES)[Category]

const CATEGORY_OF = new Map(
  Object.entries(ENTITIES).map(([category, entity]) => [entity, category as Category]),
)

/** The one recognizer there is: all categories come out of one model. */
const RECOGNIZER = 'SparseAutoencoderRecognizer'

const OrNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T, description: string) =>
  Type.Optional(Type.Union([type, Type.Null()], { description }))

/** Nothing that would change the answer may be asked for in vain. */
const Refused = (why: string) =>
  OrNull(Type.Array(Type.Unknown(), { maxItems: 0 }), `Refused unless empty: ${why}`)

const AnalyzeRequest = Type.Object(
  {
    text: Type.Union([Text, Type.Array(Type.String(), { minItems: 1 })], {
      description: 'A text, or several, which are answered by a list of lists',
    }),
    language: Type.String({ minLength: 1, description: 'One of the detector’s' }),
    entities: OrNull(
      Type.Array(Type.Unsafe<Entity>({ type: 'string', enum: Object.values(ENTITIES) })),
      'Only these; all where there are none. One that no recognizer here finds is refused',
    ),
    score_threshold: OrNull(
      Type.Number({ minimum: 0, maximum: 1 }),
      'Score from which on a result is told; 0 unless said, as in Presidio: all that the detector takes for personal data',
    ),
    return_decision_process: OrNull(Type.Boolean(), 'Adds `analysis_explanation`'),
    allow_list: OrNull(
      Type.Array(Type.String()),
      'Texts that are not told where a result is exactly one of them',
    ),
    allow_list_match: OrNull(
      Type.Unsafe<'exact'>({ type: 'string', enum: ['exact'] }),
      'Regular expressions are not run for callers',
    ),
    regex_flags: OrNull(Type.Integer(), 'Taken, and of no effect: there is no expression to run'),
    correlation_id: OrNull(
      Type.String(),
      'Taken, and kept nowhere: `X-Request-Id` leads to the request in the log',
    ),
    ad_hoc_recognizers: Refused('a caller’s recognizers are not run'),
    context: Refused('words of context don’t change the scores of this detector'),
  },
  { additionalProperties: false },
)
type AnalyzeBody = Static<typeof AnalyzeRequest>

const Explanation = Type.Object({
  recognizer: Type.String(),
  pattern_name: Type.Null(),
  pattern: Type.Null(),
  original_score: Type.Number(),
  score: Type.Number(),
  textual_explanation: Type.String({ description: 'The latents that speak most for the result' }),
  score_context_improvement: Type.Number(),
  supportive_context_word: Type.String(),
  validation_result: Type.Null(),
  regex_flags: Type.Null(),
})

const Results = Type.Array(
  Type.Object({
    entity_type: Type.String({ enum: Object.values(ENTITIES) }),
    start: Type.Integer({ description: 'In code points' }),
    end: Type.Integer({ description: 'Exclusive' }),
    score: Type.Number(),
    analysis_explanation: Type.Union([Explanation, Type.Null()]),
  }),
)

const LanguageQuery = Type.Object(
  { language: Type.Optional(Type.String({ description: 'One of the detector’s' })) },
  { additionalProperties: false },
)

const tags = ['presidio']
const access = { access: 'detect', changesNothing: true } as const

/** `POST /analyze`. */
export function analyzeRoute(plain: FastifyInstance, ask: Ask): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  app.post(
    '/analyze',
    {
      config: access,
      schema: {
        operationId: 'analyze',
        tags,
        summary: 'Find personal data as Presidio’s analyzer does',
        body: AnalyzeRequest,
        response: withHeaders(
          presidioAnswers(
            {
              description: 'Results of the text; a list of such lists for a list of texts',
              content: {
                'application/json': { schema: { anyOf: [Results, Type.Array(Results)] } },
              },
            },
            ...DETECTION_REFUSALS,
          ),
        ),
      },
    },
    async (request, reply) => {
      const { body } = request
      const { text, language, entities } = body
      const texts = typeof text === 'string' ? [text] : text
      const found = await ask(request, reply, (detect, call) =>
        detect.texts({
          surface: 'analyze',
          texts,
          language,
          threshold: body.score_threshold ?? 0,
          categories: categoriesOf(entities ?? []),
          explain: body.return_decision_process === true,
          ...call,
        }),
      )
      if (found === undefined) return reply.hijack()
      const results = tellTexts(texts, found.results, body)
      const answer = typeof text === 'string' ? only(results) : listOfPieces(results)
      return sendJson(reply, answer)
    },
  )
}

/** `GET /supportedentities` and `GET /recognizers`. @param model what serves texts now; throws where nothing does */
export function presidioListRoutes(plain: FastifyInstance, model: () => DetectorModel): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const list = (operationId: string, summary: string) => ({
    config: access,
    schema: {
      operationId,
      tags,
      summary,
      querystring: LanguageQuery,
      response: presidioAnswers(Type.Array(Type.String()), 400, 401, 403, 429, 503),
    },
  })
  app.get(
    '/supportedentities',
    list('supportedEntities', 'What is looked for, in Presidio’s words'),
    (request) => {
      const { categories, languages } = model()
      checkLanguage(request.query.language, languages)
      return categories.map((category) => ENTITIES[category])
    },
  )
  app.get('/recognizers', list('recognizers', 'Who looks for it'), (request) => {
    checkLanguage(request.query.language, model().languages)
    return [RECOGNIZER]
  })
}

/** @throws {RegistryError} INVALID_REQUEST */
function checkLanguage(language: string | undefined, known: readonly string[]): void {
  if (language !== undefined && !known.includes(language))
    throw invalidField('query.language', `must be one of ${known.join(', ')}`)
}

function categoriesOf(entities: readonly Entity[]): readonly Category[] | undefined {
  if (entities.length === 0) return undefined
  return entities.flatMap((entity) => CATEGORY_OF.get(entity) ?? [])
}

function* tellTexts(
  texts: readonly string[],
  results: readonly Detection[],
  { allow_list, return_decision_process: explained }: AnalyzeBody,
): Generator<JsonPieces, void, undefined> {
  const allowed = new Set(allow_list)
  for (const [i, { spans }] of results.entries()) {
    const text = texts[i] ?? ''
    const placeOf = createOffsets(text, 'codepoint')
    const told = spans.filter(({ start, end }) => !allowed.has(text.slice(start, end)))
    yield listOf(told, (span) => ({
      analysis_explanation: explained === true ? explanationOf(span) : null,
      end: placeOf(span.end),
      entity_type: ENTITIES[span.category],
      score: span.confidence,
      start: placeOf(span.start),
    }))
  }
}

function explanationOf({ confidence, latents = [] }: DetectedSpan): Static<typeof Explanation> {
  const shares = latents.map(
    ({ latent, activation, weight }) =>
      `${latent} (activation ${activation.toPrecision(3)}, weight ${weight.toPrecision(3)})`,
  )
  return {
    recognizer: RECOGNIZER,
    pattern_name: null,
    pattern: null,
    original_score: confidence,
    score: confidence,
    textual_explanation:
      shares.length === 0 ? 'No latent speaks for it.' : `Latents: ${shares.join(', ')}`,
    score_context_improvement: 0,
    supportive_context_word: '',
    validation_result: null,
    regex_flags: null,
  }
}

async function* only(results: Iterable<JsonPieces>): JsonPieces {
  for (const result of results) yield* result
}

/** Response schemas of an address of Presidio's. */
function presidioAnswers(good: object, ...refusals: readonly number[]): Record<number, unknown> {
  const content = { 'application/json': { schema: Type.Object({ error: Type.String() }) } }
  const refused = [...refusals, 500].map((status): [number, unknown] => [
    status,
    { description: `Refused: ${STATUS_CODES[status] ?? ''}`, content },
  ])
  return { 200: good, ...Object.fromEntries<unknown>(refused) }
}
