import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { type Principal, principalById } from '../../src/access/principal.ts'
import { invalidField, RegistryError } from '../../src/errors.ts'
import type { LargeObject } from '../../src/hub/assemblies.ts'
import type { Grant } from '../../src/hub/grants.ts'
import { requireSame } from '../../src/hub/same-bytes.ts'
import { isWeightsHeld } from '../../src/hub/weights-held.ts'
import {
  type CheckpointName,
  DEFAULT_PATH,
  parseSha256,
  type Sha256,
} from '../../src/registry/names.ts'
import { notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import {
  announcedBytes,
  AnyFile,
  bodyOf,
  enter,
  hungUp,
  requireRoom,
  requireSize,
  requireWhole,
  takeAnyBody,
} from '../intake.ts'
import { endpointOf, RepoParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { noteRefusal } from './note-refusal.ts'
import { OWNED } from './owned-address.ts'

const LFS_JSON = 'application/vnd.git-lfs+json'
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
const GrantParams = Type.Object({
  grant: Type.String({ description: 'Signed: good for one object, for a while' }),
})
type GrantRequest = FastifyRequest<{ Params: Static<typeof GrantParams> }>

/** Git LFS's batch API, as far as the Hub's clients use it: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md */
export async function lfsRoutes(plain: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const { ledger, config, hub, uploads } = strongroom
  const { grants, assemblies } = hub
  const tags = ['hub']

  await plain.register((scope, _options, registered) => {
    scope.addContentTypeParser(
      LFS_JSON,
      { parseAs: 'string' },
      scope.getDefaultJsonParser('error', 'error'),
    )
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
        await requireThere(checkpoint)
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

    app.post(
      '/api/lfs/complete/:grant',
      {
        config: { access: 'open' },
        bodyLimit: BODY_BYTES,
        schema: {
          operationId: 'hubLfsComplete',
          tags,
          summary: 'Put an object together whose parts were uploaded',
          params: GrantParams,
          response: hubAnswers(
            { 200: Type.Object({}) },
            ...[400, 401, 403, 404, 413, 422, 429, 507],
          ),
        },
      },
      async (request, reply) => {
        const { grant, principal, object } = await redeem(request, 'complete')
        tooLong(request)
        if (await isHeld(principal.tokenId, object.oid, grant.size, object.checkpoint)) return {}
        await entering(request, reply, object, () => assemblies.complete(object))
        return {}
      },
    )
    registered()
  })

  await plain.register((raw, _options, registered) => {
    takeAnyBody(raw)
    const put = {
      config: { access: 'open' as const },
      schema: {
        tags,
        params: GrantParams,
        body: AnyFile,
        response: hubAnswers(
          { 200: Type.Object({}) },
          ...[400, 401, 403, 404, 408, 413, 422, 429, 507],
        ),
      },
    }
    raw.put(
      '/api/lfs/object/:grant',
      {
        ...put,
        onRequest: async (request: GrantRequest) => {
          const { grant } = await redeem(request, 'put')
          await requireFits(request, grant.size)
        },
        schema: {
          ...put.schema,
          operationId: 'hubLfsPut',
          summary: 'Upload an object: safetensors, validated and hashed as it arrives',
        },
      },
      async (request: GrantRequest, reply) => {
        const { principal, object } = await redeem(request, 'put')
        const { oid, sizeBytes, ...file } = object
        await entering(request, reply, object, async () => {
          const body = bodyOf(strongroom, request)
          // What this address was for is done: the same bytes again change nothing.
          if (await isHeld(principal.tokenId, oid, sizeBytes, file.checkpoint))
            await requireSame(body, object)
          else await hub.stage({ ...file, body, announcedBytes: sizeBytes, expected: oid })
        })
        return {}
      },
    )
    raw.put(
      '/api/lfs/part/:grant',
      {
        ...put,
        onRequest: async (request: GrantRequest) => {
          const { grant } = await redeem(request, 'part')
          await requireFits(request, assemblies.partBytes(grant.size) ?? 0)
        },
        schema: {
          ...put.schema,
          operationId: 'hubLfsPart',
          summary: 'Upload a part of a large object',
        },
      },
      async (request: GrantRequest, reply) => {
        const { grant, object } = await redeem(request, 'part')
        await entering(request, reply, object, () =>
          assemblies.takePart(object, grant.part, bodyOf(strongroom, request)),
        )
        // Clients want one of each part.
        reply.header('etag', `"${object.oid}-${grant.part}"`)
        return {}
      },
    )
    registered()
  })

  async function requireThere({ owner, name }: CheckpointName): Promise<void> {
    const known = await ledger.checkpoint(owner, name)
    if (known === undefined || known.isDeleted) throw notFound('checkpoint')
  }

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
  ): Promise<boolean> => isWeightsHeld(ledger, tokenId, checkpoint, oid, size)

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

  /** Who may do what the address was given for. @throws {RegistryError} FORBIDDEN, UNAUTHENTICATED */
  async function redeem(
    request: GrantRequest,
    purpose: Grant['purpose'],
  ): Promise<{ grant: Grant; principal: Principal; object: LargeObject }> {
    const grant = grants.read(request.params.grant)
    if (grant?.purpose !== purpose)
      throw new RegistryError(
        'FORBIDDEN',
        'This address for an upload is not good, or not any more; ask for another.',
      )
    const principal = await principalById(ledger, grant.tokenId)
    if (principal === undefined)
      throw new RegistryError('UNAUTHENTICATED', 'The token that this upload belongs to has ended.')
    request.principal = principal
    const checkpoint = writableRepo(request, grant)
    const object = {
      principal,
      address: request.ip,
      checkpoint,
      path: DEFAULT_PATH,
      kind: 'safetensors',
      oid: parseSha256(grant.oid),
      sizeBytes: grant.size,
    } as const
    return { grant, principal, object }
  }

  async function requireFits(request: FastifyRequest, most: number): Promise<void> {
    requireWhole(request)
    requireSize(strongroom, request)
    if ((announcedBytes(request) ?? 0) > most)
      throw new RegistryError('TOO_LARGE', 'This is larger than what was announced.', {
        limit: most,
      })
    await requireRoom(strongroom, request)
  }

  async function entering<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    { checkpoint, oid }: LargeObject,
    act: () => Promise<T>,
  ): Promise<T> {
    const leave = enter(uploads, reply, 'uploads')
    try {
      return await act()
    } catch (error) {
      if (!hungUp(request)) noteRefusal(strongroom, request, checkpoint, oid, error)
      throw error
    } finally {
      leave()
    }
  }
}

/** While an object is put together nothing moves on the connection. */
function tooLong({ raw }: FastifyRequest): void {
  raw.socket.setTimeout(0)
}

function repoOfGit(
  request: FastifyRequest,
  { owner, repo }: Static<typeof RepoGit>,
): CheckpointName {
  return writableRepo(request, { owner, name: repo.replace(/\.git$/, '') })
}
