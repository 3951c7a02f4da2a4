import { STATUS_CODES } from 'node:http'
import { Type } from 'typebox'

const HubError = Type.Object(
  {
    error: Type.String(),
    code: Type.String({ description: 'The stable word to program against' }),
    request_id: Type.String(),
  },
  { additionalProperties: true, description: 'One sentence, and the facts of the code' },
)

const REFUSAL_HEADERS = {
  'X-Error-Code': {
    type: 'string',
    enum: ['RepoNotFound', 'RevisionNotFound', 'EntryNotFound', 'GatedRepo'],
    description: 'Where the clients have an exception of their own for it',
  },
  'X-Error-Message': { type: 'string', description: 'The sentence, in ASCII' },
}

/** Response schemas of a route for the Hub's clients: what it answers, and the statuses with which it may refuse. */
export function hubAnswers(
  good: Readonly<Record<number, unknown>>,
  ...refusals: readonly number[]
): Record<number, unknown> {
  const content = { 'application/json': { schema: HubError } }
  const refused = [...refusals, 500].map((status): [number, unknown] => [
    status,
    {
      description: `Refused: ${STATUS_CODES[status] ?? ''}`,
      headers: REFUSAL_HEADERS,
      content,
    },
  ])
  return { ...good, ...Object.fromEntries<unknown>(refused) }
}

const Lfs = {
  size: Type.Integer(),
  pointerSize: Type.Integer({ description: 'Of what git keeps in its place' }),
}

export const Entries = Type.Array(
  Type.Object({
    type: Type.String({ enum: ['file', 'directory'] }),
    path: Type.String(),
    size: Type.Integer(),
    oid: Type.String({ description: 'Git’s id; of safetensors that of the pointer to it' }),
    lfs: Type.Optional(Type.Object({ oid: Type.String({ description: 'SHA-256' }), ...Lfs })),
    lastCommit: Type.Optional(
      Type.Object({ id: Type.String(), title: Type.String(), date: Type.String() }),
    ),
  }),
)

const Summary = {
  _id: Type.String({ description: 'Always the same for one name' }),
  id: Type.String(),
  modelId: Type.String(),
  author: Type.String(),
  sha: Type.String({ description: 'The commit of `main`, or of the revision asked for' }),
  lastModified: Type.String(),
  createdAt: Type.String(),
  private: Type.Boolean(),
  gated: Type.Boolean(),
  disabled: Type.Boolean(),
  downloads: Type.Integer(),
  likes: Type.Integer(),
  tags: Type.Array(Type.String()),
}

export const Models = Type.Array(Type.Object(Summary))

export const Model = Type.Object({
  ...Summary,
  siblings: Type.Array(
    Type.Object({
      rfilename: Type.String(),
      size: Type.Integer(),
      blobId: Type.String(),
      lfs: Type.Optional(Type.Object({ sha256: Type.String(), ...Lfs })),
    }),
  ),
  safetensors: Type.Optional(
    Type.Object({
      parameters: Type.Unsafe<Record<string, number>>({
        type: 'object',
        additionalProperties: { type: 'integer' },
        description: 'Elements of each dtype',
      }),
      total: Type.Integer(),
    }),
  ),
})

export const Whoami = Type.Object({
  type: Type.String({ enum: ['user'] }),
  id: Type.String(),
  name: Type.String({ description: 'Under which a repository named without an owner is put' }),
  fullname: Type.String(),
  email: Type.Null(),
  emailVerified: Type.Boolean(),
  isPro: Type.Boolean(),
  canPay: Type.Boolean(),
  periodEnd: Type.Null(),
  avatarUrl: Type.String(),
  orgs: Type.Array(Type.Unknown(), { maxItems: 0 }),
  auth: Type.Object({
    type: Type.String({ enum: ['access_token'] }),
    accessToken: Type.Object({
      displayName: Type.String(),
      role: Type.String({ enum: ['read', 'write'] }),
      createdAt: Type.String(),
    }),
  }),
})

export const ShardHeaders = Type.Object({
  headers: Type.Unsafe({
    type: 'object',
    additionalProperties: { type: 'object' },
    description: 'Shard → its safetensors header',
  }),
  index: Type.Object({ metadata: Type.Optional(Type.Unknown()) }),
})
