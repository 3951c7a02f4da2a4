import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { RegistryError } from '../src/errors.ts'

export const Limit = Type.Integer({ minimum: 1, maximum: 1000, default: 100 })
export const Cursor = Type.Optional(
  Type.String({ maxLength: 16384, description: '`next` of the page before' }),
)

/** A cursor is the sort key of the last item, which says nothing that its holder hasn't seen. */
export const encodeCursor = (key: readonly string[]): string =>
  Buffer.from(JSON.stringify(key)).toString('base64url')

/** @throws {RegistryError} INVALID_REQUEST for what `encodeCursor` can't have made with `length` parts. */
export function parseCursor(
  cursor: string | undefined,
  length: number,
): readonly (string | undefined)[] {
  if (cursor === undefined) return []
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (
      Array.isArray(key) &&
      key.length === length &&
      key.every((part) => typeof part === 'string')
    )
      return key
  } catch {
    // Not JSON: the same refusal.
  }
  throw new RegistryError('INVALID_REQUEST', 'The cursor is not valid.', {
    errors: [{ field: 'query.cursor', detail: 'must be the `next` of an earlier page' }],
  })
}

/** RFC 8288: where the next page is, with all of this page's own parameters. */
export function linkNext(
  request: FastifyRequest,
  reply: FastifyReply,
  publicUrl: string | undefined,
  parameter: string,
  next: string | number | null,
): void {
  if (next === null) return
  const url = new URL(request.url, 'http://relative')
  url.searchParams.set(parameter, String(next))
  reply.header('link', `<${publicUrl ?? ''}${url.pathname}${url.search}>; rel="next"`)
}
