import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { readCommit } from '../../src/hub/commit-lines.ts'
import { readJsonLines } from '../../src/hub/json-lines.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { bodyOf, requireRoom, takeAnyBody } from '../intake.ts'
import { enterUpload } from './enter-upload.ts'
import { endpointOf, refusePullRequest, RevParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { noteRefusal } from './note-refusal.ts'

const Committed = Type.Object({
  success: Type.Boolean(),
  commitOid: Type.String(),
  commitUrl: Type.String(),
  hookOutput: Type.String(),
})

type Query = Readonly<Record<string, unknown>>

/** A commit of deletions has about as many lines as a version has files; one that moves files twice as many. */
const LINES_A_FILE = 4

export async function commitRoutes(app: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const { config, hub, metrics } = strongroom
  const maxContentBytes = Math.max(config.MAX_SIDECAR_BYTES, config.MAX_INDEX_BYTES)

  await app.register((raw, _options, registered) => {
    takeAnyBody(raw)
    raw.post<{ Params: Static<typeof RevParams>; Querystring: Query }>(
      '/api/models/:owner/:name/commit/:rev',
      {
        config: { access: 'publish' },
        onRequest: async (request) => {
          const { params } = request
          try {
            writableRepo(request, params)
            refusePullRequest(request)
            await requireRoom(strongroom, request)
          } catch (error) {
            noteRefusal(strongroom, request, params, params.rev, error)
            throw error
          }
        },
        schema: {
          operationId: 'hubCommit',
          tags: ['hub'],
          summary: 'Make a version of what was uploaded, and of the files of the version before it',
          description:
            'NDJSON: a `header`, then `file`, `lfsFile`, `deletedFile` and `deletedFolder` in any number. All of it is valid and there, or nothing changes.',
          params: RevParams,
          body: { content: { 'application/x-ndjson': { schema: {} } } },
          response: hubAnswers(
            { 200: Committed },
            ...[400, 401, 403, 404, 408, 409, 410, 412, 413, 422, 429, 507],
          ),
        },
      },
      async (request, reply) => {
        const { params } = request
        const checkpoint = writableRepo(request, params)
        const target = { checkpoint, what: params.rev }
        const { outcome, commit, revision, version } = await enterUpload(
          strongroom,
          request,
          reply,
          target,
          () => {
            const lines = readJsonLines(
              bodyOf(strongroom, request),
              { maxLines: config.MAX_FILES * LINES_A_FILE + 1, maxContentBytes },
              hub.openSpool,
            )
            return hub.commit({
              principal: principalOf(request),
              address: request.ip,
              checkpoint,
              revision: params.rev,
              lines: readCommit(lines, maxContentBytes),
            })
          },
        )
        metrics.publishes.inc({ outcome: outcome === 'created' ? 'created' : 'same' })
        reply.headers({
          'x-checkpoint-revision': revision,
          'x-checkpoint-version': version,
          'x-repo-commit': commit,
        })
        return {
          success: true,
          commitOid: commit,
          commitUrl: commitUrl(request, commit),
          hookOutput: '',
        }
      },
    )
    registered()
  })

  const commitUrl = (
    request: FastifyRequest<{ Params: Static<typeof RevParams> }>,
    commit: string,
  ): string => {
    const { owner, name } = request.params
    return `${endpointOf(request, config)}/${owner}/${name}/commit/${commit}`
  }
}
