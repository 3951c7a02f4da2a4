import { STATUS_CODES } from 'node:http'
import { Type } from 'typebox'

// Shapes of answers, from which the OpenAPI document is made. Fastify writes JSON by them: what isn't named
// here doesn't leave.

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256, lower-case hex' })
const Time = Type.String({ format: 'date-time' })
/**
 * Strings by name. Not `Type.Record`, whose pattern `^.*$` doesn't match a key with a line break: such keys would
 * leave the answer unsaid, and come in unjudged.
 */
export const Strings = Type.Unsafe<Record<string, string>>({
  type: 'object',
  additionalProperties: { type: 'string' },
})
const Nullable = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Union([type, Type.Null()])

const Problem = Type.Object(
  {
    type: Type.String({ description: 'urn:strongroom:problem: and the code in kebab case' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'The stable word to program against' }),
    request_id: Type.String(),
  },
  {
    additionalProperties: true,
    description: 'Problem details (RFC 9457) and the facts of the code',
  },
)

/** Response schemas of a route: what it answers, and the statuses with which it may refuse. */
export function answers(
  good: Readonly<Record<number, unknown>>,
  ...refusals: readonly number[]
): Record<number, unknown> {
  const media = { 'application/problem+json': { schema: Problem } }
  const refused = [...refusals, 500].map((status): [number, unknown] => [
    status,
    { description: `Refused: ${STATUS_CODES[status] ?? ''}`, content: media },
  ])
  return { ...good, ...Object.fromEntries<unknown>(refused) }
}

export const Description = Type.Object({
  checkpoint: Type.String(),
  version: Type.String(),
  revision: Sha256,
  state: Type.String({ enum: ['available', 'withdrawn'] }),
  withdrawn_reason: Type.Optional(Type.String()),
  created_at: Time,
  created_by: Type.String(),
  size: Type.Integer({ description: 'Bytes of all files' }),
  tensors: Type.Integer(),
  parameters: Type.Integer(),
  metadata: Strings,
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      size: Type.Integer(),
      sha256: Sha256,
      tensors: Type.Integer(),
      metadata: Strings,
    }),
  ),
  tags: Type.Array(Type.String()),
  warnings: Type.Array(Type.String()),
})

/** Every key where it is what is in force, those that are set where it is what one level says. */
export const Policy = Type.Partial(
  Type.Object({
    require_metadata: Type.Array(Type.String()),
    expect_metadata: Type.Unsafe({
      type: 'object',
      additionalProperties: Type.Union([Type.String(), Type.Array(Type.String())]),
      description: 'Key → value, or one of several; `$version` stands for the version’s name',
    }),
    same_tensors_as: Nullable(Type.String()),
    finite: Type.Boolean(),
    sidecars: Type.Boolean(),
    max_size: Nullable(Type.Integer({ description: 'Bytes of all files of a version' })),
    protected_tags: Type.Array(Type.String()),
    require_signature: Type.Boolean(),
  }),
)

export const Checkpoint = Type.Object({
  checkpoint: Type.String(),
  created_at: Time,
  versions: Type.Array(
    Type.Object({
      version: Type.String(),
      revision: Sha256,
      state: Type.String(),
      created_at: Time,
      created_by: Type.String(),
      size: Type.Integer(),
    }),
  ),
  tags: Type.Record(Type.String(), Type.String(), { description: 'Tag → version' }),
  policy: Policy,
})

export const TagMoved = Type.Object({
  tag: Type.String(),
  version: Type.String(),
  revision: Sha256,
  previous: Nullable(Sha256),
})

export const Tag = Type.Object({
  tag: Type.String(),
  version: Type.String(),
  revision: Sha256,
  moved_at: Time,
})

export const TagHistory = Type.Object({
  items: Type.Array(
    Type.Object({
      seq: Type.Integer({ description: 'Of the entry in the audit log' }),
      at: Time,
      who: Nullable(Type.Object({ id: Type.String(), name: Type.String() })),
      action: Type.String({ enum: ['created', 'moved', 'deleted', 'published', 'withdrawn'] }),
      version: Nullable(Type.String()),
      revision: Nullable(Sha256),
      previous: Nullable(Sha256),
    }),
  ),
  next: Nullable(Type.String()),
})

export const CheckpointPage = Type.Object({
  items: Type.Array(
    Type.Object({
      checkpoint: Type.String(),
      created_at: Time,
      versions: Type.Integer(),
      latest: Nullable(Type.String()),
    }),
  ),
  next: Nullable(Type.String()),
})

const Count = (what: string) => Type.Integer({ description: `Elements that are ${what}` })
const OfFinite = (what: string) =>
  Nullable(Type.Number({ description: `${what} of the finite elements; null where there is none` }))

/** docs/statistics.md has the definitions. */
const Statistics = Type.Object({
  nan: Count('NaN'),
  pos_inf: Count('+Infinity'),
  neg_inf: Count('−Infinity'),
  zeros: Count('0 or −0'),
  min: OfFinite('Least'),
  max: OfFinite('Greatest'),
  mean: OfFinite('Arithmetic mean'),
  abs_max: OfFinite('Largest magnitude'),
  l2: OfFinite('L2 norm, the root of the sum of squares,'),
})

export const TensorPage = Type.Object({
  items: Type.Array(
    Type.Object({
      name: Type.String(),
      path: Type.String(),
      dtype: Type.String(),
      shape: Type.Array(Type.Integer()),
      begin: Type.Integer({ description: 'Absolute in the file' }),
      end: Type.Integer({ description: 'Absolute in the file, exclusive' }),
      size: Type.Integer(),
      sha256: Sha256,
      stats: Nullable(Statistics),
    }),
  ),
  next: Nullable(Type.String()),
})

const TensorThere = {
  path: Type.String(),
  dtype: Type.String(),
  shape: Type.Array(Type.Integer()),
  sha256: Sha256,
}
const Difference = { name: Type.String(), ...TensorThere, size: Type.Integer() }
const Compared = Type.Object({ version: Type.String(), revision: Sha256 })

export const Diff = Type.Object({
  from: Compared,
  to: Compared,
  added: Type.Array(Type.Object(Difference)),
  removed: Type.Array(Type.Object(Difference)),
  changed: Type.Array(
    Type.Object({
      ...Difference,
      from: Type.Object(TensorThere),
      relative_l2: Type.Optional(
        Nullable(
          Type.Number({
            description:
              '‖to − from‖₂ / ‖from‖₂ in float64, with `values=1`. NaN that stays NaN and an infinity that stays the same are no change and count for nothing in the norm. null: the dtypes are not both floats of 8 bits or more, the shapes differ, a change is not finite, or the norm is 0',
          }),
        ),
      ),
      max_abs: Type.Optional(
        Nullable(
          Type.Number({
            description:
              'The largest magnitude of an element’s change, with `values=1`; null where that can’t be said, for the same reasons but the norm',
          }),
        ),
      ),
    }),
  ),
  same: Type.Integer({
    description:
      'Tensors that are the same, of those that this page passed; all that lie in files which both versions share count on the first page. The pages add up to all of them',
  }),
  next: Nullable(Type.String()),
})

export const Hashes = Type.Object({
  sha256: Sha256,
  size: Type.Integer(),
  chunk_size: Type.Integer({ description: 'Bytes of a leaf; the last one may be shorter' }),
  leaves: Type.Array(Sha256),
})

export const Verdict = Type.Object({
  valid: Type.Boolean(),
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      valid: Type.Boolean(),
      sha256: Sha256,
      size: Type.Integer(),
      chunk: Type.Optional(Type.Integer({ description: 'The first chunk that does not hold' })),
    }),
  ),
})

const Findings = Type.Array(
  Type.Object({
    entry: Type.String({
      description: 'The archive’s member, empty for the file itself; `!` leads into what it holds',
    }),
    offset: Type.Integer({ description: 'Of the call or the name, in its pickle' }),
    global: Type.String({ description: 'What is named: `os.system`' }),
    via: Type.String({ description: 'The opcode' }),
    invoked: Type.Boolean({ description: 'Whether it would be called, not only named' }),
    args_preview: Type.Optional(Type.String()),
  }),
)

export const Scan = Type.Object({
  format: Type.String({ description: 'What it is by its content' }),
  verdict: Type.String({
    enum: ['clean', 'refused', 'dangerous'],
    description:
      '`clean`: a checkpoint or safetensors, read to its end as plain data; `dangerous`: loading it would call what no weights need; `refused`: neither, or it could not be read to its end',
  }),
  findings: Findings,
  notes: Type.Array(Type.String({ description: 'Why it is refused, and what could not be read' })),
  sha256: Nullable(Sha256),
  size: Type.Integer(),
})

export const Migration = Type.Object({
  ...Description.properties,
  migration: Type.Object({
    source_sha256: Sha256,
    format: Type.String({ enum: ['torch_zip', 'torch_legacy', 'safetensors'] }),
    root: Type.String({ description: 'Keys that led to the weights; empty for the whole' }),
    tensors: Type.Integer(),
    dropped: Type.Array(Type.String(), {
      description: 'Values that are no weights and were left out; at most 1,000 are named',
    }),
    dropped_total: Type.Integer(),
    tied: Strings,
  }),
})

const TokenFields = {
  id: Type.String(),
  name: Type.String(),
  role: Type.String({ enum: ['reader', 'writer', 'detector', 'auditor', 'admin'] }),
  scope: Type.String(),
  created_at: Time,
  created_by: Nullable(Type.String()),
  expires_at: Nullable(Time),
  revoked_at: Nullable(Time),
}
export const Token = Type.Object(TokenFields)
export const NewToken = Type.Object({
  token: Type.String({ description: 'The secret, shown this once' }),
  ...TokenFields,
})
export const TokenList = Type.Object({ items: Type.Array(Token) })

export const AuditPage = Type.Object({
  items: Type.Array(
    Type.Object({
      seq: Type.Integer(),
      at: Time,
      action: Type.String(),
      who: Nullable(Type.Object({ id: Type.String(), name: Type.String() })),
      address: Nullable(Type.String()),
      subject: Nullable(Type.String()),
      revision: Nullable(Type.String()),
      outcome: Type.String({ description: '`ok`, or the code of the refusal' }),
      details: Type.Object({}, { additionalProperties: true }),
      prev_hash: Sha256,
      hash: Sha256,
    }),
  ),
  next: Nullable(Type.Integer({ description: 'Pass it as `after` for the next page' })),
})

export const AuditVerdict = Type.Object({
  valid: Type.Boolean(),
  entries: Type.Integer(),
  head: Type.Object({
    seq: Type.Integer(),
    hash: Sha256,
    mac: Nullable(Type.String()),
  }),
  broken: Nullable(Type.Object({ seq: Type.Integer(), why: Type.String() })),
})
