import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { type Principal, principalById } from '../../src/access/principal.ts'
import { RegistryError } from '../../src/errors.ts'
import type { LargeObject } from '../../src/hub/assemblies.ts'
import type { Grant } from '../../src/hub/grants.ts'
import { requireSame } from '../../src/hub/same-bytes.ts'
import { DEFAULT_PATH, parseSha256 } from '../../src/registry/names.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import {
  announcedBytes,
  AnyFile,
  bodyOf,
  requireRoom,
  requireSize,
  requireWhole,
  takeAnyBody,
  tooLateToTime,
} from '../intake.ts'
import { enterUpload } from './enter-upload.ts'
import { writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { takeLfsJson } from './lfs-json.ts'

const BODY_BYTES = 1024 * 1024

const GrantParams = Type.Object({
  grant: Type.String({ description: 'Signed: good for one object, for a while' }),
})
type GrantRequest = FastifyRequest<{ Params: Static<typeof GrantParams> }>

/** Where objects are uploaded to: addresses that a batch gave out, each good for one of them. */
export async function lfsObjectRoutes(
  plain: FastifyInstance,
  strongroom: Strongroom,
): Promise<void> {
  const { ledger, hub } = strongroom
  const { grants, assemblies } = hub
  const tags = ['hub']

  await plain.register((app, _options, registered) => {
    takeLfsJson(app)
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
      async (request: GrantRequest, reply) => {
        const { object } = await redeem(request, 'complete')
        // While it is put together nothing moves on the connection.
        tooLateToTime(request)
        if (await isHeld(object)) return {}
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
        const { object } = await redeem(request, 'put')
        const { oid, sizeBytes, ...file } = object
        await entering(request, reply, object, async () => {
          const body = bodyOf(strongroom, request)
          // What this address was for is done: the same bytes again change nothing.
          if (await isHeld(object)) await requireSame(body, object)
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

  const isHeld = ({ principal, checkpoint, oid, sizeBytes }: LargeObject): Promise<boolean> =>
    hub.holdings.hasWeights(principal.tokenId, checkpoint, oid, sizeBytes)

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

  const entering = <T>(
    request: FastifyRequest,
    reply: FastifyReply,
    { checkpoint, oid }: LargeObject,
    act: () => Promise<T>,
  ): Promise<T> => enterUpload(strongroom, request, reply, { checkpoint, what: oid }, act)
}
