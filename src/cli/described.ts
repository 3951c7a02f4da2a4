import { type Description, description } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { UntrustedError } from '../client/failures.ts'
import { pathOfVersion, type VersionRef } from '../client/registry.ts'

/**
 * The version that a ref means now. Its revision, which covers what the description says, is the ref for whatever
 * else is asked: no tag moves in between.
 *
 * @throws {UntrustedError} for another version than the one asked for
 */
export async function describeRef(
  connection: Connection,
  wanted: VersionRef,
): Promise<Description> {
  const ask = { method: 'GET', path: pathOfVersion(wanted) } as const
  const version = (await askJson(connection, ask, description)).document
  checkAnswered(wanted, version)
  return version
}

/** Only the caller knows which one was meant. */
function checkAnswered({ owner, name, ref }: VersionRef, version: Description): void {
  const isRevision = /^[0-9a-f]{64}$/i.test(ref)
  const isMeant =
    version.checkpoint.toLowerCase() === `${owner}/${name}`.toLowerCase() &&
    (!isRevision || version.revision === ref.toLowerCase())
  if (!isMeant)
    throw new UntrustedError('The server describes another version than the one asked for.')
}
