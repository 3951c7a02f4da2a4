import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { denied, type Principal } from '../../src/access/principal.ts'
import { invalidField, RegistryError } from '../../src/errors.ts'
import { namespaceOf } from '../../src/hub/namespace.ts'
import { rolesThatPublish } from '../../src/registry/publish.ts'
import { notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { enterRefusal } from '../enter-refusal.ts'
import { endpointOf, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'

const RepoBody = Type.Object(
  {
    name: Type.String({ description: '`owner/name`, or a name below the caller’s own owner' }),
    organization: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    type: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    files: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: true },
)
type RepoBody = Static<typeof RepoBody>

const Created = Type.Object({
  url: Type.String(),
  name: Type.String(),
  id: Type.String(),
})

/** `POST /api/repos/create`, `DELETE /api/repos/delete`, and the YAML check that comes before a model card is pushed. */
export function repoRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom
  const tags = ['hub']

  app.post(
    '/api/repos/create',
    {
      config: { access: 'publish' },
      schema: {
        operationId: 'hubCreateRepo',
        tags,
        summary: 'Make a repository; what is pushed to it becomes versions of the checkpoint',
        body: RepoBody,
        response: hubAnswers({ 200: Created }, 400, 401, 403, 409),
      },
    },
    async (request) => {
      requireModel(request.body)
      requireEmpty(request.body)
      const principal = principalOf(request)
      const named = repoOf(request.body, principal)
      const outcome = await enterRefusal(
        strongroom,
        request,
        `${named.owner}/${named.name}`,
        async () => {
          const checkpoint = writableRepo(request, named)
          const made = await ledger.createCheckpoint({
            tokenId: principal.tokenId,
            roles: rolesThatPublish(checkpoint.owner),
            address: request.ip,
            ...checkpoint,
          })
          if ('name' in made) return made
          throw denied(made.outcome, 'This token may not make a repository here.')
        },
      )
      const id = `${outcome.owner}/${outcome.name}`
      const answer = { url: `${endpointOf(request, config)}/${id}`, name: id, id }
      if (outcome.outcome === 'created') return answer
      throw new RegistryError('VERSION_EXISTS', 'You already created this model repo.', answer)
    },
  )

  app.delete(
    '/api/repos/delete',
    {
      config: { access: 'publish' },
      schema: {
        operationId: 'hubDeleteRepo',
        tags,
        summary: 'Withdraw all versions of a checkpoint',
        body: RepoBody,
        response: hubAnswers({ 200: Type.Object({}) }, 400, 401, 403, 404),
      },
    },
    async (request) => {
      requireModel(request.body)
      const principal = principalOf(request)
      const named = repoOf(request.body, principal)
      await enterRefusal(strongroom, request, `${named.owner}/${named.name}`, async () => {
        const { outcome } = await ledger.deleteCheckpoint({
          tokenId: principal.tokenId,
          roles: ['admin'],
          address: request.ip,
          ...writableRepo(request, named),
          reason: 'The repository was deleted.',
        })
        if (outcome === 'checkpoint_missing') throw notFound('checkpoint')
        if (outcome !== 'deleted')
          throw denied(outcome, 'Only an admin deletes a repository: its versions are withdrawn.')
      })
      return {}
    },
  )
}

function requireModel({ type }: RepoBody): void {
  if (type !== undefined && type !== null && type !== 'model')
    throw invalidField('body.type', 'must be `model`', 'This registry keeps models only.')
}

/** @throws {RegistryError} INVALID_REQUEST for files that would come without a commit. */
function requireEmpty({ files }: RepoBody): void {
  if (files === undefined || files === null || (Array.isArray(files) && files.length === 0)) return
  throw invalidField(
    'body.files',
    'must be absent',
    'A repository is made empty; push its files when it is there.',
  )
}

function repoOf(
  { name, organization }: RepoBody,
  principal: Principal,
): { readonly owner: string; readonly name: string } {
  const slash = name.indexOf('/')
  if (slash >= 0) return { owner: name.slice(0, slash), name: name.slice(slash + 1) }
  return { owner: organization ?? namespaceOf(principal), name }
}
