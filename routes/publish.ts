import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { invalidField, type RegistryError } from '../src/errors.ts'
import { none, one } from '../src/items.ts'
import { describeVersion } from '../src/registry/describe.ts'
import { createSizeBudget, policyOfNew } from '../src/registry/judge.ts'
import { type FilePath, parseFilePath, parseSha256, type Sha256 } from '../src/registry/names.ts'
import { effective } from '../src/registry/policy.ts'
import { refusalNote } from '../src/registry/publish-refusal.ts'
import type { PublishRequest } from '../src/registry/publish.ts'
import { resolveVersion } from '../src/registry/resolve.ts'
import type { Metadata } from '../src/registry/version-metadata.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { pathOrDefault, revisionHeaders, VersionParams } from './checkpoint-params.ts'
import { asRegistryError } from './error-handler.ts'
import {
  announcedBytes,
  AnyFile,
  bodyOf,
  enter,
  expectedOf,
  hungUp,
  metadataOf,
  pacedBody,
  PublishQuery,
  type Query,
  requireMayPublish,
  requireRoom,
  requireSize,
  requireWhole,
  single,
  takeAnyBody,
  type Target,
  targetOf,
  tooLateToTime,
} from './intake.ts'
import { formOf } from './publish-form.ts'
import { answers, Description, Strings } from './schemas.ts'

type Params = Static<typeof VersionParams>

const URL = '/v1/checkpoints/:owner/:name/:version'

const namedFilesOf = (maxFiles: number) =>
  Type.Object(
    {
      files: Type.Array(
        Type.Object(
          {
            path: Type.String(),
            sha256: Type.Optional(Type.String()),
            upload: Type.Optional(Type.String()),
          },
          { additionalProperties: false },
        ),
        { minItems: 1, maxItems: maxFiles },
      ),
      metadata: Type.Optional(Strings),
    },
    { additionalProperties: false },
  )

/** For the document: a form has no body to check by the time schemas are looked at. */
const Form = {
  type: ['object', 'null'],
  properties: {
    metadata: { type: 'string', description: 'A JSON object of strings' },
    sha256: { type: 'string', description: 'A JSON object, path → hex' },
  },
  additionalProperties: { description: 'A file; its filename is its path, folders included' },
}

export async function publishRoutes(app: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const { config, metrics, audit, ledger, uploads } = strongroom
  /** How each request that was let in leaves the gate of uploads. */
  const leaves = new WeakMap<FastifyRequest, () => void>()
  const NamedFiles = namedFilesOf(config.MAX_FILES)

  /** All that can be known before the body: names, rights, size and room. */
  async function checkBeforeBody(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const target = targetOf(request)
    try {
      await requireAdmissible(request, reply, target)
    } catch (error) {
      noteRefusal(target, asRegistryError(error))
      throw error
    }
  }

  async function requireAdmissible(
    request: FastifyRequest,
    reply: FastifyReply,
    target: Target,
  ): Promise<void> {
    await requireMayPublish(strongroom, target)
    requireWhole(request)
    if (request.method === 'PUT') {
      fileOf(request)
      requireSize(strongroom, request)
    }
    const policy = effective(await policyOfNew(ledger, target.checkpoint, target.version))
    if (request.method === 'PUT') createSizeBudget(policy)(announcedBytes(request) ?? 0)
    await requireRoom(strongroom, request)
    leaves.set(request, enter(uploads, reply, 'uploads'))
  }

  function noteRefusal(target: Parameters<typeof refusalNote>[0], error: RegistryError): void {
    const { reason } = error.facts
    metrics.publishes.inc({ outcome: 'refused' })
    metrics.refusals.inc({ code: error.code, reason: typeof reason === 'string' ? reason : '' })
    audit.refused(refusalNote(target, error))
  }

  async function publish(
    request: FastifyRequest,
    reply: FastifyReply,
    publication: PublishRequest,
  ): Promise<unknown> {
    const leave = leaves.get(request)
    try {
      const outcome = await strongroom.publish(publication)
      const { checkpoint, version } = publication
      const resolved = await resolveVersion(ledger, checkpoint, version)
      metrics.publishes.inc({ outcome })
      reply.headers(revisionHeaders(resolved))
      if (outcome === 'created') {
        const { owner, name } = resolved.version
        const path = `/v1/checkpoints/${owner}/${name}/${encodeURIComponent(version)}`
        reply.code(201).header('location', `${config.PUBLIC_URL ?? ''}${path}`)
      }
      return describeVersion(resolved)
    } catch (error) {
      if (!hungUp(request)) noteRefusal(publication, asRegistryError(error))
      throw error
    } finally {
      leave?.()
    }
  }

  const response = answers(
    {
      200: { ...Description, description: 'Exactly this was published before' },
      201: {
        ...Description,
        description: 'Published: every byte is validated, hashed and durable',
      },
    },
    ...[400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 507],
  )

  await app.register((raw, _options, registered) => {
    takeAnyBody(raw)
    raw.put<{ Params: Params; Querystring: Query }>(
      URL,
      {
        config: { access: 'publish' },
        onRequest: checkBeforeBody,
        schema: {
          operationId: 'publishFile',
          tags: ['publishing'],
          summary: 'Publish one safetensors file as a version',
          description:
            'The body is the file, of any content type. `Repr-Digest`, `Content-Digest` (RFC 9530) or `X-Checksum-Sha256` say what the caller believes its hash to be. A sidecar (`config.json`, a tokenizer, `README.md`) is taken where the policy admits sidecars.',
          params: VersionParams,
          querystring: PublishQuery,
          body: AnyFile,
          response,
        },
      },
      async (request, reply) => {
        const { path, expected, metadata } = fileOf(request)
        const body = bodyOf(strongroom, request)
        return publish(request, reply, {
          ...targetOf(request),
          files: one({ path, body, announcedBytes: announcedBytes(request) }),
          facts: () => ({
            metadata,
            expected: new Map(expected === undefined ? [] : [[path, expected]]),
            held: [],
          }),
        })
      },
    )
    registered()
  })

  await app.register(async (form) => {
    await form.register(multipart, {
      preservePath: true,
      limits: {
        fileSize:
          config.MAX_FILE_BYTES === undefined ? Number.MAX_SAFE_INTEGER : config.MAX_FILE_BYTES + 1,
        files: config.MAX_FILES + 1,
        fields: 2,
        fieldSize: Math.max(config.MAX_METADATA_BYTES * 2, config.MAX_FILES * 640),
        parts: config.MAX_FILES + 3,
      },
    })
    form.post<{ Params: Params; Body: Static<ReturnType<typeof namedFilesOf>> | null | undefined }>(
      URL,
      {
        config: { access: 'publish' },
        onRequest: checkBeforeBody,
        schema: {
          operationId: 'publishFiles',
          tags: ['publishing'],
          summary: 'Publish several files as one version, all or nothing',
          description:
            '`multipart/form-data`: each file part’s filename is its path; optional fields `metadata` and `sha256` (JSON objects). Or `application/json`: files that the registry already holds and the caller may read, by their SHA-256.',
          consumes: ['multipart/form-data', 'application/json'],
          params: VersionParams,
          body: {
            content: {
              'multipart/form-data': { schema: Form },
              'application/json': { schema: NamedFiles },
            },
          },
          response,
        },
      },
      async (request, reply) => {
        const target = targetOf(request)
        if (request.isMultipart()) {
          const { files, facts } = formOf(
            request,
            (part) => pacedBody(strongroom, part),
            tooLateToTime,
          )
          return publish(request, reply, { ...target, files, facts })
        }
        const named = request.body
        if (named === undefined || named === null)
          throw invalidField('body', 'must be a form or JSON')
        return publish(request, reply, { ...target, files: none(), facts: () => factsOf(named) })
      },
    )
  })
}

/** What a PUT says of its file, all of it known before the body. */
function fileOf(request: FastifyRequest): {
  path: FilePath
  expected: Sha256 | undefined
  metadata: Metadata
} {
  const query = request.query as Query
  return {
    path: pathOrDefault(single(query, 'path')),
    expected: expectedOf(request),
    metadata: metadataOf(query),
  }
}

function factsOf({
  files,
  metadata = {},
}: Static<ReturnType<typeof namedFilesOf>>): ReturnType<PublishRequest['facts']> {
  return {
    metadata,
    expected: new Map(),
    held: files.map(({ path, sha256 }, i) => ({
      path: parseFilePath(path),
      sha256: parseSha256(sha256 ?? '', `body.files.${i}.sha256`),
    })),
  }
}
