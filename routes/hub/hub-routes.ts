import type { FastifyInstance } from 'fastify'
import { createGitOid } from '../../src/hub/git-oid.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import type { ServeBytes } from '../serve-bytes.ts'
import { resolveRoutes } from './resolve.ts'

/** What the clients of the Hugging Face Hub ask for. */
export function hubRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  serveBytes: ServeBytes,
): void {
  resolveRoutes(app, strongroom, serveBytes, createGitOid(strongroom.readVerified))
}
