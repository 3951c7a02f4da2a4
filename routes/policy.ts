import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { PolicyLevels, StoredPolicy } from '../db/changes.ts'
import { forbidden, requireScope } from '../src/access/principal.ts'
import {
  asciiLowerCase,
  parseCheckpointName,
  parseOwner,
  scopeTouches,
  scopeWithin,
} from '../src/registry/names.ts'
import { effective } from '../src/registry/policy.ts'
import { notFound } from '../src/registry/resolve.ts'
import { type PolicyLevel, setPolicy } from '../src/registry/set-policy.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { CheckpointParams, readableCheckpoint } from './checkpoint-params.ts'
import { enterRefusal } from './enter-refusal.ts'
import { answers, Policy } from './schemas.ts'

const MAX_ITEMS = 100
const Key = Type.String({ minLength: 1, maxLength: 256 })
const Value = Type.String({ maxLength: 4096 })

const Rules = Type.Object(
  {
    require_metadata: Type.Optional(Type.Array(Key, { maxItems: MAX_ITEMS })),
    expect_metadata: Type.Optional(
      Type.Unsafe<Record<string, string | string[]>>({
        type: 'object',
        maxProperties: MAX_ITEMS,
        propertyNames: Key,
        additionalProperties: Type.Union([
          Value,
          Type.Array(Value, { minItems: 1, maxItems: MAX_ITEMS }),
        ]),
        description: 'Key → value, or several; `$version` stands for the version published as',
      }),
    ),
    same_tensors_as: Type.Optional(
      Type.Union([Type.String({ maxLength: 512 }), Type.Null()], {
        description: 'A ref of the same checkpoint, or `owner/name@ref`',
      }),
    ),
    finite: Type.Optional(Type.Boolean()),
    sidecars: Type.Optional(Type.Boolean()),
    max_size: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), Type.Null()], {
        description: 'Bytes of all files of a version',
      }),
    ),
    protected_tags: Type.Optional(
      Type.Array(Type.String({ maxLength: 128, pattern: '^[A-Za-z0-9._+*-]+$' }), {
        maxItems: MAX_ITEMS,
        description: 'Names of tags in which `*` stands for any characters',
      }),
    ),
    require_signature: Type.Optional(Type.Boolean({ description: 'Refused until signing exists' })),
  },
  { additionalProperties: false },
)

const OwnerParams = Type.Object({
  owner: Type.String({ description: 'First half of the names of checkpoints' }),
})
const Own = Type.Object({
  own: Type.Optional(
    Type.Enum(['0', '1'], { description: '1: only the keys that are set at this level' }),
  ),
})

/** A place where a policy is set. The functions say whose it is, for callers who may read or set it. */
interface Place {
  readonly url: string
  readonly params: typeof CheckpointParams | typeof OwnerParams
  readonly whose: string
  /** What the operations are called. */
  readonly policy: string
  readonly readable: (request: FastifyRequest) => PolicyLevel
  readonly settable: (request: FastifyRequest) => PolicyLevel
  readonly own: (levels: PolicyLevels) => StoredPolicy | undefined
}

/** Needn't exist: a policy governs the first version too. */
const OF_CHECKPOINT: Place = {
  url: '/v1/checkpoints/:owner/:name/policy',
  params: CheckpointParams,
  whose: 'a checkpoint, which needn’t exist yet',
  policy: 'Policy',
  readable: (request) =>
    readableCheckpoint(request, request.params as Static<typeof CheckpointParams>),
  settable: (request) => {
    const { owner, name } = request.params as Static<typeof CheckpointParams>
    const checkpoint = parseCheckpointName(owner, name)
    requireScope(principalOf(request), checkpoint, 'write')
    return checkpoint
  },
  own: ({ checkpoint }) => checkpoint,
}

const OF_OWNER: Place = {
  url: '/v1/owners/:owner/policy',
  params: OwnerParams,
  whose: 'an owner, whose checkpoints may say otherwise, key by key',
  policy: 'OwnerPolicy',
  readable: (request) => {
    const owner = ownerOf(request)
    if (!scopeTouches(principalOf(request).scope, owner)) throw notFound('owner')
    return { owner }
  },
  settable: (request) => {
    const owner = ownerOf(request)
    if (!scopeWithin(`${asciiLowerCase(owner)}/*`, principalOf(request).scope))
      throw forbidden('The token’s scope does not reach all of this owner’s checkpoints.')
    return { owner }
  },
  own: ({ owner }) => owner,
}

const ownerOf = ({ params }: FastifyRequest): string =>
  parseOwner((params as Static<typeof OwnerParams>).owner)

const subjectOf = ({ owner, name }: PolicyLevel): string =>
  name === undefined ? owner : `${owner}/${name}`

export function policyRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger } = strongroom
  const tags = ['policy']

  for (const { url, params, whose, policy, readable, settable, own } of [OF_CHECKPOINT, OF_OWNER]) {
    app.get(
      url,
      {
        config: { access: 'describe' },
        schema: {
          operationId: `get${policy}`,
          tags,
          summary: `The policy in force for ${whose}`,
          params,
          querystring: Own,
          response: answers({ 200: Policy }, 400, 401, 403, 404),
        },
      },
      async (request) => {
        const { owner, name } = readable(request)
        const levels = await ledger.policies(owner, name)
        return request.query.own === '1' ? (own(levels)?.rules ?? {}) : effective(levels)
      },
    )

    app.put(
      url,
      {
        config: { access: 'admin' },
        // Before the body is asked for.
        onRequest: async (request) => {
          const subject = subjectOf(request.params)
          await enterRefusal(strongroom, request, subject, () => settable(request))
        },
        schema: {
          operationId: `set${policy}`,
          tags,
          summary: `Replace the policy of ${whose}`,
          params,
          body: Rules,
          response: answers({ 200: Policy }, 400, 401, 403, 413, 415),
        },
      },
      async (request) => {
        const level = settable(request)
        return enterRefusal(strongroom, request, subjectOf(level), () =>
          setPolicy(ledger, principalOf(request), request.ip, level, request.body),
        )
      },
    )
  }
}
