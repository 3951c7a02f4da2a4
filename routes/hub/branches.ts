import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { invalidField, RegistryError } from '../../src/errors.ts'
import { knownRepo } from '../../src/hub/known-repo.ts'
import { refOf, resolveHub } from '../../src/hub/revision.ts'
import { type CheckpointName, parseTagName, type TagName } from '../../src/registry/names.ts'
import { dropBranch, startBranch } from '../../src/registry/branches.ts'
import { notFound } from '../../src/registry/resolve.ts'
import { deleteTag, moveTag, type TagRequest } from '../../src/registry/tags.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { enterRefusal } from '../enter-refusal.ts'
import { RepoParams, RevParams, writableRepo } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'

const BranchParams = Type.Object({
  ...RepoParams.properties,
  branch: Type.String({ description: 'Named like a tag' }),
})
const Start = Type.Union([
  Type.Null(),
  Type.Object(
    { startingPoint: Type.Optional(Type.Union([Type.String(), Type.Null()])) },
    { additionalProperties: true },
  ),
])
const NewTag = Type.Object(
  { tag: Type.String(), message: Type.Optional(Type.Union([Type.String(), Type.Null()])) },
  { additionalProperties: true },
)
const Done = Type.Object({})

/** Branches and tags of the Hub: both are tags here, and a branch is one that commits move along. */
export function branchRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger } = strongroom
  const tags = ['hub']
  const config = { access: 'publish' } as const
  const refusals = [400, 401, 403, 404, 409, 410, 413]

  app.post(
    '/api/models/:owner/:name/branch/:branch',
    {
      config,
      schema: {
        operationId: 'hubCreateBranch',
        tags,
        summary: 'Make a branch, at `main` or at `startingPoint`',
        params: BranchParams,
        body: Start,
        response: hubAnswers({ 200: Done }, ...refusals),
      },
    },
    (request) =>
      entering(request, request.params.branch, async (checkpoint) => {
        const start = request.body?.startingPoint ?? 'main'
        const tagging = requestOf(request, checkpoint, branchName(request.params.branch))
        const from = await resolveHub(ledger, checkpoint, start)
        await isNew(() =>
          from === 'empty'
            ? startBranch(ledger, tagging)
            : moveTag(ledger, { ...tagging, expected: null }, from.version.revision, 'branch'),
        )
        return {}
      }),
  )

  app.delete(
    '/api/models/:owner/:name/branch/:branch',
    {
      config,
      schema: {
        operationId: 'hubDeleteBranch',
        tags,
        summary: 'Delete a branch; what was committed to it stays',
        params: BranchParams,
        response: hubAnswers({ 200: Done }, ...refusals),
      },
    },
    (request) =>
      entering(request, request.params.branch, async (checkpoint) => {
        const branch = branchName(request.params.branch)
        const { owner, name } = checkpoint
        const known = await ledger.checkpoint(owner, name)
        const tagging = requestOf(request, checkpoint, branch)
        if (known?.newBranches.includes(branch) === true) await dropBranch(ledger, tagging)
        else if (known?.branches.includes(branch) === true) await deleteTag(ledger, tagging)
        else throw notFound('tag')
        return {}
      }),
  )

  app.post(
    '/api/models/:owner/:name/tag/:rev',
    {
      config,
      schema: {
        operationId: 'hubCreateTag',
        tags,
        summary: 'Tag a revision',
        params: RevParams,
        body: NewTag,
        response: hubAnswers({ 200: Done }, ...refusals),
      },
    },
    (request) =>
      entering(request, request.body.tag, async (checkpoint) => {
        const at = await resolveHub(ledger, checkpoint, request.params.rev)
        if (at === 'empty')
          throw invalidField('rev', 'names nothing yet', 'There is nothing to tag yet.')
        const tagging = requestOf(request, checkpoint, parseTagName(request.body.tag))
        await isNew(() => moveTag(ledger, { ...tagging, expected: null }, at.version.revision))
        return {}
      }),
  )

  app.delete(
    '/api/models/:owner/:name/tag/:rev',
    {
      config,
      schema: {
        operationId: 'hubDeleteTag',
        tags,
        summary: 'Delete a tag',
        params: RevParams,
        response: hubAnswers({ 200: Done }, ...refusals),
      },
    },
    (request) =>
      entering(request, request.params.rev, async (checkpoint) => {
        const tag = parseTagName(request.params.rev)
        const { owner, name } = checkpoint
        const known = await ledger.checkpoint(owner, name)
        if (known?.branches.includes(tag) === true) throw notFound('tag')
        await deleteTag(ledger, requestOf(request, checkpoint, tag))
        return {}
      }),
  )

  function entering<T>(
    request: FastifyRequest<{ Params: Static<typeof RepoParams> }>,
    ref: string,
    act: (checkpoint: CheckpointName) => Promise<T>,
  ): Promise<T> {
    const { owner, name } = request.params
    return enterRefusal(strongroom, request, `${owner}/${name}@${ref}`, async () => {
      const checkpoint = writableRepo(request, request.params)
      await knownRepo(ledger, checkpoint)
      return act(checkpoint)
    })
  }
}

function requestOf(request: FastifyRequest, checkpoint: CheckpointName, tag: TagName): TagRequest {
  const principal = principalOf(request)
  return { principal, address: request.ip, checkpoint, tag, expected: undefined }
}

/** @throws {RegistryError} INVALID_NAME, VERSION_EXISTS for the branch that there always is. */
function branchName(text: string): TagName {
  const ref = refOf(text)
  if (ref === 'latest')
    throw new RegistryError('VERSION_EXISTS', 'The branch `main` is always there.', {
      revision: null,
    })
  try {
    return parseTagName(ref ?? text)
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    throw new RegistryError(
      error.code,
      `A branch is named like a tag, so without a slash: ${error.message}`,
      error.facts,
      error,
    )
  }
}

/** What exists already is no other than what clients know as a conflict. */
async function isNew(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'TAG_MOVED') throw error
    throw new RegistryError('VERSION_EXISTS', 'A branch or tag of that name exists already.', {
      revision: error.facts['current'] ?? null,
    })
  }
}
