import { description, verdict } from '../../client/answers.ts'
import { askJson, type Connection } from '../../client/connection.ts'
import { UntrustedError } from '../../client/failures.ts'
import { misused } from '../../client/local-failure.ts'
import { publication } from '../../client/push-files.ts'
import type { VersionRef } from '../../client/registry.ts'
import { verification, whenFree } from '../../client/verification.ts'
import { RegistryError } from '../../errors.ts'
import { type CheckpointName, DEFAULT_PATH, parseVersionName } from '../../registry/names.ts'
import { parseCheckpoint, parseNewVersion } from '../client-options.ts'
import { UsageError } from '../shell.ts'
import type { Weights } from './new-weights.ts'
import { type Source, stemOf } from './sources.ts'

/** What a source is published as. @throws {LocalError} for a name that can't be a version's */
export type VersionOf = (source: Source) => VersionRef

/** @param text `owner/name@version` for one source, `owner/name` for several. @throws {UsageError} */
export function destinationOf(text: string, sources: readonly Source[]): VersionOf {
  if (!text.includes('@')) {
    const checkpoint = parseCheckpoint(text)
    return (source) => versionNamedAs(source, checkpoint)
  }
  const version = parseNewVersion(text)
  if (sources.length > 1)
    throw new UsageError(`${text} is one version, and there are ${sources.length} files: give owner/name, and each gets a version of its own name.`) // prettier-ignore
  return () => version
}

function versionNamedAs({ path }: Source, checkpoint: CheckpointName): VersionRef {
  const name = stemOf(path)
    .replace(/[^A-Za-z0-9._+-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  try {
    return { ...checkpoint, ref: parseVersionName(name) }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    throw misused(
      path,
      `its name can’t be a version’s (${error.message}) Push it by itself, to owner/name@version`,
    )
  }
}

export interface Pushed {
  readonly checkpoint: string
  readonly version: string
  readonly revision: string
}

/** Publishes a file; what is there already, as it is, is as good. @throws {UntrustedError} where it became another file */
export async function push(
  connection: Connection,
  version: VersionRef,
  local: string,
  { sha256, sizeBytes }: Weights,
  signal: AbortSignal,
): Promise<Pushed> {
  const file = { local, path: DEFAULT_PATH, sizeBytes, sha256 }
  const ask = publication(version, [file], {}, () => {
    signal.throwIfAborted()
  })
  const { document } = await askJson(connection, ask, description)
  const [published, ...others] = document.files
  if (published?.sha256 !== sha256 || others.length > 0)
    throw new UntrustedError('The server describes another file than the one that was sent.')
  return document
}

/** Has what was published read again. @throws {UntrustedError} where it isn't as it was sent */
export async function checkPushed(
  connection: Connection,
  version: VersionRef,
  { revision }: Pushed,
  { sha256 }: Weights,
): Promise<void> {
  const ask = verification({ ...version, ref: revision })
  const found = await whenFree(() => askJson(connection, ask, verdict))
  const isValid =
    found?.document.valid === true && found.document.files.every((file) => file.sha256 === sha256)
  if (!isValid) throw new UntrustedError('The server does not hold the file as it was sent.')
}
