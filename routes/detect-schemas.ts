import { Type } from 'typebox'
import { CATEGORIES } from '../src/detect/detector.ts'

// What the detection routes ask for and answer. Texts have no length here: what is too long is 413, not 400.

const named = <T extends string>(names: readonly T[], description?: string) =>
  Type.Unsafe<T>({ type: 'string', enum: [...names], ...(description && { description }) })

export const CategoryName = named(CATEGORIES)

export const Threshold = (fallback: number) =>
  Type.Number({
    minimum: 0,
    maximum: 1,
    default: fallback,
    description: 'Confidence from which on a span is told',
  })

export const Text = Type.String({
  description: 'Any Unicode, lone surrogates too; offsets are in the text exactly as it was sent',
})

/** Of a label in a redacted text, in characters. */
const MAX_LABEL = 128
const Label = Type.String({ maxLength: MAX_LABEL })

export const DetectRequest = Type.Object(
  {
    text: Type.Optional(Text),
    texts: Type.Optional(
      Type.Array(Type.String(), { minItems: 1, description: 'Instead of `text`: several at once' }),
    ),
    language: Type.Optional(
      Type.String({ description: 'One of the detector’s; any will do where it isn’t said' }),
    ),
    confidence_threshold: Threshold(0.8),
    categories: Type.Optional(
      Type.Array(CategoryName, {
        minItems: 1,
        description: 'Only spans of these; all unless said',
      }),
    ),
    offset_encoding: Type.Unsafe<'utf16' | 'codepoint' | 'utf8'>({
      type: 'string',
      enum: ['utf16', 'codepoint', 'utf8'],
      default: 'utf16',
      description:
        'The unit of offsets: UTF-16 units (a JavaScript string’s), code points (Python’s) or bytes of UTF-8, where a lone surrogate counts as three',
    }),
    redact: Type.Union(
      [
        Type.Boolean(),
        Type.Object(
          {
            personal_name: Type.Optional(Label),
            address: Type.Optional(Label),
            phone: Type.Optional(Label),
            email: Type.Optional(Label),
          },
          { additionalProperties: false },
        ),
      ],
      {
        default: false,
        description:
          'Adds `redacted_text`, in which a label stands for each span that is told: `[EMAIL]`, or what is said here for its category',
      },
    ),
    include_text: Type.Boolean({ default: false, description: 'Adds to each span its `text`' }),
    explain: Type.Boolean({
      default: false,
      description: 'Adds to each span the latents that speak most for it, strongest first',
    }),
  },
  // A member that is misspelled must not pass for one that wasn't sent.
  { additionalProperties: false },
)

const Latent = Type.Object({
  latent: Type.Integer({ description: 'Its number in the whole SAE' }),
  activation: Type.Number({ description: 'The highest in the span' }),
  weight: Type.Number({ description: 'How it speaks for the span’s category' }),
})

const DetectedSpan = Type.Object({
  category: CategoryName,
  start: Type.Integer({ description: 'In units of `offset_encoding`' }),
  end: Type.Integer({ description: 'Exclusive' }),
  start_char: Type.Integer({ description: '`start` under another name' }),
  end_char: Type.Integer({ description: '`end` under another name' }),
  confidence: Type.Number({
    description: 'Calibrated: of spans told with 0.8, 80% are what they are said to be',
  }),
  text: Type.Optional(Type.String({ description: 'With `include_text`' })),
  latents: Type.Optional(Type.Array(Latent, { description: 'With `explain`' })),
})

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })

export const Detected = Type.Object({
  pii_spans: Type.Array(DetectedSpan, { description: 'Sorted; none overlap' }),
  has_pii: Type.Boolean(),
  redacted_text: Type.Optional(Type.String({ description: 'With `redact`' })),
  offset_encoding: Type.String({
    enum: ['utf16', 'codepoint', 'utf8', 'token', 'as_sent'],
    description:
      'Of activations: `token`, their numbers, or `as_sent`, the units of the `offsets` that came with them',
  }),
  language: Type.String({ description: 'As asked for; `und` where it wasn’t said' }),
  model_version: Type.String({ description: '`owner/name@version` of the detector' }),
  model: Type.Object({
    revision: Sha256,
    sha256: Sha256,
    provider: Type.String({ enum: ['cpu', 'cuda', 'webgpu'] }),
    activation: Type.String({ enum: ['relu', 'jumprelu', 'topk'] }),
  }),
  chunks: Type.Integer({ description: 'Windows of the text, or batches of tokens' }),
  processing_time_ms: Type.Number({ description: 'Of the whole request' }),
})

export const DetectedOfAll = Type.Object({
  results: Type.Array(Detected, { description: 'One a text, in their order' }),
})

const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()])

/** A slot in which nothing serves says no more than its state and why. */
export const LoadedDetectors = Type.Object({
  items: Type.Array(
    Type.Object({
      slot: Type.String({ enum: ['primary', 'canary'] }),
      ref: Type.String({ description: 'As configured' }),
      percent: Type.Number({ description: 'Share of requests' }),
      state: Type.String({ enum: ['loading', 'serving', 'absent', 'failed'] }),
      problem: Nullable(
        Type.Object({
          why: Type.String(),
          version: Nullable(Type.String()),
          revision: Nullable(Sha256),
          at: Type.String({ format: 'date-time' }),
        }),
      ),
      checkpoint: Type.Optional(Type.String()),
      version: Type.Optional(Type.String()),
      revision: Type.Optional(Sha256),
      sha256: Type.Optional(Sha256),
      provider: Type.Optional(Type.String({ enum: ['cpu', 'cuda', 'webgpu'] })),
      fell_back: Type.Optional(
        Type.Array(Type.String(), { description: 'Operators that the provider left to the CPU' }),
      ),
      description: Type.Optional(Type.String()),
      languages: Type.Optional(Type.Array(Type.String())),
      reads_text: Type.Optional(
        Type.Boolean({ description: 'False for one that takes activations only' }),
      ),
      categories: Type.Optional(Type.Array(CategoryName)),
      sae: Type.Optional(
        Type.Object({
          architecture: Type.String({ enum: ['relu', 'jumprelu', 'topk'] }),
          d_model: Type.Integer(),
          width: Type.Integer({ description: 'Latents of the whole SAE' }),
          kept_latents: Type.Integer(),
          k: Nullable(Type.Integer()),
        }),
      ),
      classifiers: Type.Optional(
        Type.Array(
          Type.Object({
            kind: Type.String({ enum: ['logistic', 'trees'] }),
            link: Type.String({ enum: ['softmax', 'sigmoid', 'identity'] }),
            aggregate: Type.Optional(Type.String({ enum: ['sum', 'mean'] })),
            labels: Type.Array(Type.String()),
          }),
        ),
      ),
      scores: Type.Optional(
        Type.Object({}, { additionalProperties: true, description: 'As its model card has them' }),
      ),
      loaded_at: Type.Optional(Type.String({ format: 'date-time' })),
    }),
  ),
})
