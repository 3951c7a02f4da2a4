import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { principalById } from '../../src/access/principal.ts'
import { parseBearer } from '../../src/access/tokens.ts'
import { readOnly, RegistryError } from '../../src/errors.ts'
import type { XetUpload } from '../../src/hub/xet-sessions.ts'
import { LARGEST_XORB_BYTES } from '../../src/hub/xet/xorb.ts'
import { notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { announcedBytes, AnyFile, bodyOf, requireRoom, takeAnyBody } from '../intake.ts'
import { enterUpload } from './enter-upload.ts'
import { endpointOf, followRev, refusePullRequest, RevParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { answerInFrames, FRAMES } from './shard-frames.ts'

const CasParams = Type.Object({
  nonce: Type.String({ description: 'Random: of one session' }),
})
const XorbParams = Type.Object({
  ...CasParams.properties,
  hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
})
type CasRequest = FastifyRequest<{ Params: Static<typeof CasParams> }>

const WriteToken = Type.Object({
  accessToken: Type.String(),
  casUrl: Type.String(),
  exp: Type.Integer({ description: 'Unix time, in seconds' }),
})

/** The side of Xet that uploads: https://huggingface.co/docs/xet. Downloads are plain HTTP. */
export async function xetRoutes(plain: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config, hub } = strongroom
  const { grants, xet } = hub
  const tags = ['hub']
  const open = { access: 'open' } as const

  app.get(
    '/api/models/:owner/:name/xet-write-token/:rev',
    {
      config: { access: 'publish' },
      schema: {
        operationId: 'hubXetWriteToken',
        tags,
        summary: 'Where a client with hf_xet uploads to, for a while',
        params: RevParams,
        response: hubAnswers({ 200: WriteToken }, 400, 401, 403, 404, 410),
      },
    },
    async (request, reply) => {
      if (config.READ_ONLY) throw readOnly()
      refusePullRequest(request)
      const { owner, name } = writableRepo(request, request.params)
      await followRev(strongroom, request, reply, request.params)
      const { tokenId } = principalOf(request)
      const exp = Math.floor((Date.now() + config.UPLOAD_GRANT_MS) / 1000)
      const accessToken = grants.issue({
        purpose: 'xet',
        tokenId,
        owner,
        name,
        oid: '',
        size: 0,
        part: 0,
      })
      // Clients remember what they sent to an address, and wouldn't send it again.
      const nonce = randomBytes(16).toString('hex')
      return { accessToken, casUrl: `${endpointOf(request, config)}/cas/${nonce}`, exp }
    },
  )

  await plain.register((raw, _options, registered) => {
    takeAnyBody(raw)
    const refusals = [400, 401, 403, 404, 408, 413, 422, 429, 507]

    raw.post(
      '/cas/:nonce/v1/xorbs/default/:hash',
      {
        config: open,
        schema: {
          operationId: 'xetUploadXorb',
          tags,
          summary: 'Upload a container of chunks',
          params: XorbParams,
          body: AnyFile,
          response: hubAnswers({ 200: Type.Object({ was_inserted: Type.Boolean() }) }, ...refusals),
        },
      },
      async (request: CasRequest, reply) => {
        const { hash } = request.params as Static<typeof XorbParams>
        const upload = await uploadOf(request)
        if ((announcedBytes(request) ?? 0) > LARGEST_XORB_BYTES)
          throw new RegistryError('TOO_LARGE', 'The xorb is too large.', {
            limit: LARGEST_XORB_BYTES,
          })
        await requireRoom(strongroom, request)
        const was_inserted = await entering(request, reply, upload, () =>
          xet.takeXorb(upload, hash, bodyOf(strongroom, request)),
        )
        return { was_inserted }
      },
    )

    for (const [url, operationId] of [
      ['/cas/:nonce/v1/shards', 'xetUploadShard'],
      ['/cas/:nonce/shards', 'xetUploadShardOld'],
    ] as const)
      raw.post(
        url,
        {
          config: open,
          schema: {
            operationId,
            tags,
            summary: 'Say which chunks make which files; each of them is judged like any upload',
            params: CasParams,
            body: AnyFile,
            response: hubAnswers({ 200: Type.Object({ result: Type.Integer() }) }, ...refusals),
          },
        },
        async (request: CasRequest, reply) => {
          const upload = await uploadOf(request)
          await requireRoom(strongroom, request)
          await entering(request, reply, upload, () =>
            xet.takeShard(upload, bodyOf(strongroom, request)),
          )
          return { result: 1 }
        },
      )

    raw.post(
      '/cas/:nonce/v2/shards',
      {
        config: open,
        schema: {
          operationId: 'xetUploadShardStreamed',
          tags,
          summary:
            'The same; how far it is, and a refusal, are told in frames, which the client shows',
          params: CasParams,
          body: AnyFile,
          response: hubAnswers({ 200: FRAMES }, 401, 403, 404),
        },
      },
      async (request: CasRequest, reply) => {
        const upload = await uploadOf(request)
        return answerInFrames(request, reply, async (tell) => {
          await requireRoom(strongroom, request)
          await entering(request, reply, upload, () =>
            xet.takeShard(upload, bodyOf(strongroom, request), tell),
          )
        })
      },
    )
    // What clients ask before they upload a chunk or a xorb: nothing is known here of what others uploaded.
    for (const [method, what, operationId] of [
      ['GET', 'chunks', 'xetFindChunk'],
      ['POST', 'xorb-grants', 'xetGrantXorb'],
    ] as const)
      raw.route({
        method,
        exposeHeadRoute: false,
        url: `/cas/:nonce/v1/${what}/default/:hash`,
        config: open,
        schema: {
          operationId,
          tags,
          summary: `Never anything but 404: the client uploads what it asks for`,
          params: XorbParams,
          response: hubAnswers({}, 401, 403, 404),
        },
        handler: async (request) => {
          await uploadOf(request as CasRequest)
          throw notFound('upload')
        },
      })
    registered()
  })

  /** Whose session it is, by the token that the client got with its address. @throws {RegistryError} UNAUTHENTICATED */
  async function uploadOf(request: CasRequest): Promise<XetUpload> {
    const bearer = parseBearer(request.headers.authorization)
    const grant = bearer.kind === 'token' ? grants.read(bearer.token) : undefined
    const principal =
      grant?.purpose === 'xet' ? await principalById(ledger, grant.tokenId) : undefined
    if (grant === undefined || principal === undefined)
      throw new RegistryError('UNAUTHENTICATED', 'This needs the token of an upload.', {
        challenge: bearer.kind === 'none' ? 'none_sent' : 'invalid_token',
      })
    request.principal = principal
    const checkpoint = writableRepo(request, grant)
    const { nonce } = request.params
    if (!/^[0-9a-f]{32}$/.test(nonce)) throw notFound('upload')
    return { principal, address: request.ip, checkpoint, nonce }
  }

  const entering = <T>(
    request: FastifyRequest,
    reply: FastifyReply,
    { checkpoint }: XetUpload,
    act: () => Promise<T>,
  ): Promise<T> => enterUpload(strongroom, request, reply, { checkpoint, what: 'xet' }, act)
}
