import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { setImmediate } from 'node:timers/promises'
import { type Static, Type } from 'typebox'
import type { Principal } from '../../src/access/principal.ts'
import { invalidField, RegistryError } from '../../src/errors.ts'
import { knownRepo } from '../../src/hub/known-repo.ts'
import type { Grant } from '../../src/hub/grants.ts'
import { type CheckpointName, parseSha256, type Sha256 } from '../../src/registry/names.ts'
import { notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { endpointOf, RepoParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { LFS_JSON, takeLfsJson } from './lfs-json.ts'
import { OWNED } from './owned-address.ts'

const MAX_OBJECTS = 1000
/** Of all objects in one answer, each with an address of some 300 bytes. */
const MAX_PARTS = 10_000
const BODY_BYTES = 1024 * 1024

const BatchObject = Type.Object(
  { oid: Type.String(), size: Type.Integer({ minimum: 0 }) },
  { additionalProperties: true },
)
const Batch = Type.Object(
  {
    operation: Type.String(),
    transfers: Type.Optional(Type.Array(Type.String())),
    objects: Type.Array(BatchObject, { maxItems: MAX_OBJECTS }),
  },
  { additionalProperties: true },
)
const Action = Type.Object({
  href: Type.String(),
  header: Type.Optional(Type.Record(Type.String(), Type.String())),
})
const BatchAnswer = Type.Object({
  transfer: Type.String(),
  objects: Type.Array(
    Type.Object({
      oid: Type.String(),
      size: Type.Integer(),
      actions: Type.Optional(
        Type.Object(
          { upload: Action, verify: Action },
          { description: 'Absent for what the caller has' },
        ),
      ),
      error: Type.Optional(Type.Object({ code: Type.Integer(), message: Type.String() })),
    }),
  ),
})

const BATCH_ANSWER = {
  description: 'What to do with each object',
  content: { [LFS_JSON]: { schema: BatchAnswer } },
}

const RepoGit = Type.Object({
  owner: RepoParams.properties.owner,
  repo: Type.String({ description: 'Second half of the checkpoint’s name, and `.git`' }),
})
/** Git LFS's batch API, as far as the Hub's clients use it: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md */
export async function lfsBatchRoutes(
  plain: FastifyInstance,
  strongroom: Strongroom,
): Promise<void> {
  const { ledger, config, hub } = strongroom
  const { grants, assemblies } = hub
  const tags = ['hub']

  await plain.register((scope, _options, registered) => {
    takeLfsJson(scope)
    const app = scope.withTypeProvider<TypeBoxTypeProvider>()

    app.post(
      '/:owner/:repo/info/lfs/objects/batch',
      {
        ...OWNED,
        config: { access: 'publish' },
        bodyLimit: BODY_BYTES,
        schema: {
          operationId: 'hubLfsBatch',
          tags,
          summary: 'Where each object is to be uploaded to, unless the caller has it',
          params: RepoGit,
          body: Batch,
          response: hubAnswers({ 200: BATCH_ANSWER }, 400, 401, 403, 404, 413),
        },
      },
      async (request, reply) => {
        const { operation, objects } = request.body
        if (operation !== 'upload')
          throw invalidField('body.operation', 'must be `upload`; downloads go by `resolve`')
        const checkpoint = repoOfGit(request, request.params)
        await knownRepo(ledger, checkpoint)
        requireFew(objects)
        const answers = []
        for (const object of objects) {
          answers.push(await placeFor(request, principalOf(request), checkpoint, object))
          // Signing a hundred addresses takes a few milliseconds.
          await setImmediate()
        }
        reply.type(LFS_JSON)
        return { transfer: 'basic', objects: answers }
      },
    )

    app.post(
      '/api/models/:owner/:name/lfs/verify',
      {
        config: { access: 'publish', changesNothing: true },
        schema: {
          operationId: 'hubLfsVerify',
          tags,
          summary: 'Whether an object that was uploaded is here',
          params: RepoParams,
          body: BatchObject,
          response: hubAnswers({ 200: Type.Object({}) }, 400, 401, 403, 404, 413),
        },
      },
      async (request) => {
        const { oid, size } = request.body
        const checkpoint = writableRepo(request, request.params)
        const { tokenId } = principalOf(request)
        if (!(await isHeld(tokenId, parseSha256(oid, 'body.oid'), size, checkpoint)))
          throw notFound('upload')
        return {}
      },
    )

    registered()
  })

  /** @throws {RegistryError} TOO_LARGE where the answer would be. */
  function requireFew(objects: readonly Static<typeof BatchObject>[]): void {
    const parts = objects.map(({ size }) =>
      Math.ceil(size / (assemblies.partBytes(size) ?? Infinity)),
    )
    if (parts.reduce((sum, each) => sum + each, 0) > MAX_PARTS)
      throw new RegistryError(
        'TOO_LARGE',
        'These objects have too many parts for one answer; ask for fewer.',
        {
          limit: MAX_PARTS,
        },
      )
  }

  const isHeld = (
    tokenId: string,
    oid: Sha256,
    size: number,
    checkpoint: CheckpointName,
  ): Promise<boolean> => hub.holdings.hasWeights(tokenId, checkpoint, oid, size)

  /** What the client is to do with an object. */
  async function placeFor(
    request: FastifyRequest,
    { tokenId }: Principal,
    checkpoint: CheckpointName,
    { oid: text, size }: Static<typeof BatchObject>,
  ): Promise<Static<typeof BatchAnswer>['objects'][number]> {
    if (!/^[0-9a-f]{64}$/.test(text))
      return { oid: text, size, error: { code: 422, message: 'An oid is a SHA-256 in hex.' } }
    const limit = config.MAX_FILE_BYTES ?? Infinity
    if (size > limit)
      return {
        oid: text,
        size,
        error: { code: 413, message: `A file has at most ${limit} bytes.` },
      }
    const oid = parseSha256(text)
    if (await isHeld(tokenId, oid, size, checkpoint)) return { oid, size }
    const { owner, name } = checkpoint
    const endpoint = endpointOf(request, config)
    const address = (purpose: Grant['purpose'], place: string, part = 0): string =>
      `${endpoint}/api/lfs/${place}/${grants.issue({ purpose, tokenId, owner, name, oid, size, part })}`
    const verify = { href: `${endpoint}/api/models/${owner}/${name}/lfs/verify` }
    const partBytes = assemblies.partBytes(size)
    if (partBytes === undefined)
      return { oid, size, actions: { upload: { href: address('put', 'object') }, verify } }
    const parts = Array.from({ length: Math.ceil(size / partBytes) }, (_, i): [string, string] => [
      String(i + 1).padStart(5, '0'),
      address('part', 'part', i + 1),
    ])
    const header = { chunk_size: String(partBytes), ...Object.fromEntries(parts) }
    return {
      oid,
      size,
      actions: { upload: { href: address('complete', 'complete'), header }, verify },
    }
  }
}

function repoOfGit(
  request: FastifyRequest,
  { owner, repo }: Static<typeof RepoGit>,
): CheckpointName {
  return writableRepo(request, { owner, name: repo.replace(/\.git$/, '') })
}
