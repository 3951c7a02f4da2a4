import type { FastifyInstance } from 'fastify'

/** In which Git LFS's clients write and read JSON. */
export const LFS_JSON = 'application/vnd.git-lfs+json'

export function takeLfsJson(app: FastifyInstance): void {
  app.addContentTypeParser(
    LFS_JSON,
    { parseAs: 'string' },
    app.getDefaultJsonParser('error', 'error'),
  )
}
