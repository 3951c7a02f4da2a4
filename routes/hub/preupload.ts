import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { GitOid } from '../../src/hub/git-oid.ts'
import { planUpload, type PlannedFile } from '../../src/hub/plan-upload.ts'
import { kindOf } from '../../src/registry/file-kinds.ts'
import { policyFor } from '../../src/registry/policy.ts'
import { contextOf } from '../../src/registry/representation.ts'
import type { ResolvedVersion } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { followRev, refusePullRequest, RevParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { noteRefusals } from './note-refusal.ts'

/** 256 files, as clients ask at a time, each with 512 bytes of content and its path. */
const BODY_BYTES = 4 * 1024 * 1024

const Files = Type.Object(
  {
    files: Type.Array(
      Type.Object(
        {
          path: Type.String({ maxLength: 2048 }),
          sample: Type.Optional(
            Type.String({ maxLength: 8192, description: 'The first bytes, in base64' }),
          ),
          size: Type.Integer({ minimum: 0 }),
        },
        { additionalProperties: true },
      ),
      { maxItems: 1000 },
    ),
  },
  { additionalProperties: true },
)

const Planned = Type.Object({
  files: Type.Array(
    Type.Object({
      path: Type.String(),
      uploadMode: Type.String({ enum: ['lfs', 'regular'] }),
      shouldIgnore: Type.Boolean({ description: 'To be left out: a pickle, by its name' }),
      oid: Type.Optional(Type.String({ description: 'Of what is at this path now' })),
    }),
  ),
})

/** Tells a client how to send each of its files, and a person why one of them is refused. */
export function preuploadRoutes(
  plain: FastifyInstance,
  strongroom: Strongroom,
  gitOid: GitOid,
): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom

  app.post(
    '/api/models/:owner/:name/preupload/:rev',
    {
      config: { access: 'publish' },
      bodyLimit: BODY_BYTES,
      schema: {
        operationId: 'hubPreupload',
        tags: ['hub'],
        summary: 'How each file is to be uploaded; a pickle is refused by its first bytes',
        params: RevParams,
        body: Files,
        response: hubAnswers({ 200: Planned }, 400, 401, 403, 404, 410, 413),
      },
    },
    async (request, reply) => {
      const { params, body } = request
      const checkpoint = writableRepo(request, params)
      refusePullRequest(request)
      const head = await followRev(strongroom, request, reply, params)
      const { sidecars, max_size: maxSize } = await policyFor(ledger, checkpoint)
      const planned = await noteRefusals(strongroom, request, checkpoint, params.rev, () =>
        planUpload(
          body.files.map(({ path, size, sample = '' }) => ({
            path,
            sizeBytes: size,
            sample: Buffer.from(sample, 'base64'),
          })),
          (path) => kindOf(path, sidecars),
          { maxSidecarBytes: config.MAX_SIDECAR_BYTES, maxBytes: maxSize ?? Infinity },
        ),
      )
      const warning = warningOf(planned)
      if (warning !== undefined) reply.header('x-hf-warning', warning)
      const files = []
      for (const { path, mode, leftOut } of planned) {
        const oid = await oidAt(head, path, mode)
        const ignore = { shouldIgnore: leftOut !== undefined }
        files.push({ path, uploadMode: mode, ...ignore, ...(oid === undefined ? {} : { oid }) })
      }
      return { files }
    },
  )

  /** As the client computes it: what it would push that is there already it leaves out by itself. */
  async function oidAt(
    head: ResolvedVersion | 'empty',
    path: string,
    mode: PlannedFile['mode'],
  ): Promise<string | undefined> {
    if (head === 'empty') return undefined
    const file = head.files.find((one) => one.path === path)
    if (file === undefined || file.blob.state !== 'sealed') return undefined
    return mode === 'lfs' ? file.blob.sha256 : gitOid(file, contextOf(head, path))
  }
}

const MAX_NAMED = 10

/** What the client shows once: `topic; message`. */
function warningOf(planned: readonly PlannedFile[]): string | undefined {
  const left = planned.filter(({ leftOut }) => leftOut !== undefined)
  const [first] = left
  if (first?.leftOut === undefined) return undefined
  const named = left.slice(0, MAX_NAMED).map(({ path }) => path)
  const more = left.length > MAX_NAMED ? ` and ${left.length - MAX_NAMED} more` : ''
  const text = `left out of this push: ${named.join(', ')}${more}: ${first.leftOut}`
  // A topic of its own for each text, since a client shows the first of each alone.
  const topic = `left-out-${named.join('-')}`
  return asHeader(`${topic.replaceAll(';', ',').slice(0, 200)}; ${text}`)
}

const asHeader = (text: string): string => text.slice(0, 2000).replace(/[^ -~]/gu, '?')
