import type { FastifyInstance } from 'fastify'
import { createGitOid } from '../../src/hub/git-oid.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import type { ServeBytes } from '../serve-bytes.ts'
import { modelListRoute } from './model-list.ts'
import { modelRoutes } from './models.ts'
import { pageRoutes } from './pages.ts'
import { pathsInfoRoute } from './paths-info.ts'
import { resolveRoutes } from './resolve.ts'
import { shardHeadersRoute } from './shard-headers.ts'
import { treeRoutes } from './tree.ts'
import { whoamiRoutes } from './whoami.ts'
import { writingRoutes } from './writing.ts'

/** What the clients of the Hugging Face Hub ask for. */
export async function hubRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  serveBytes: ServeBytes,
): Promise<void> {
  const gitOid = createGitOid(strongroom.readVerified)
  resolveRoutes(app, strongroom, serveBytes, gitOid)
  modelListRoute(app, strongroom)
  modelRoutes(app, strongroom, gitOid)
  treeRoutes(app, strongroom, gitOid)
  await pathsInfoRoute(app, strongroom, gitOid)
  shardHeadersRoute(app, strongroom)
  whoamiRoutes(app, strongroom)
  pageRoutes(app)
  await writingRoutes(app, strongroom, gitOid)
}
