import type { FastifyInstance } from 'fastify'
import type { GitOid } from '../../src/hub/git-oid.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { branchRoutes } from './branches.ts'
import { cardRoute } from './card.ts'
import { commitRoutes } from './commit.ts'
import { lfsBatchRoutes } from './lfs-batch.ts'
import { lfsObjectRoutes } from './lfs-objects.ts'
import { preuploadRoutes } from './preupload.ts'
import { refRoutes } from './refs.ts'
import { repoRoutes } from './repos.ts'
import { xetRoutes } from './xet.ts'

/** How the Hub's clients push. */
export async function writingRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  gitOid: GitOid,
): Promise<void> {
  repoRoutes(app, strongroom)
  await cardRoute(app, strongroom)
  preuploadRoutes(app, strongroom, gitOid)
  await lfsBatchRoutes(app, strongroom)
  await lfsObjectRoutes(app, strongroom)
  await commitRoutes(app, strongroom)
  await xetRoutes(app, strongroom)
  branchRoutes(app, strongroom)
  refRoutes(app, strongroom)
}
