import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Logger } from 'pino'
import type { Ledger, Resolved, VersionFile } from '../../db/ledger.ts'
import { SERVER } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import { one } from '../items.ts'
import { DEFAULT_PATH, type Sha256 } from '../registry/names.ts'
import type { Publish } from '../registry/publish.ts'
import { refusalNote } from '../registry/publish-refusal.ts'
import { moveTag } from '../registry/tags.ts'
import type { ShippedDetector } from './shipped.ts'

export interface AdmitParts {
  readonly ledger: Ledger
  readonly publish: Publish
  readonly log: Logger
}

/**
 * Publishes the shipped detector where its version never was, and tags it where the tag never was: whatever an admin
 * did since, with either, stays. Any start may end anywhere in here; the next goes on. Never rejects: a registry that
 * can't have it works without.
 *
 * @returns a sentence that says why it isn't there.
 */
export async function admitShipped(
  { ledger, publish, log }: AdmitParts,
  shipped: ShippedDetector,
): Promise<string | undefined> {
  const { checkpoint, version, tag } = shipped
  const names = { checkpoint: `${checkpoint.owner}/${checkpoint.name}`, version, tag }
  try {
    if (await publishOnce(ledger, publish, shipped)) log.info(names, 'shipped detector published')
    if (await tagOnce(ledger, shipped)) log.info(names, 'shipped detector tagged')
    return undefined
  } catch (error) {
    log.error({ err: error, ...names }, 'the shipped detector could not be admitted')
    if (!(error instanceof RegistryError)) return `${NOT_ADMITTED}; the log says why.`
    await enterRefusal(ledger, shipped, error)
    return `${NOT_ADMITTED}: ${error.message}`
  }
}

const NOT_ADMITTED = 'The detector that comes with this server could not be published'

/** False where a version of that name is there or was. Damaged bytes of it are repaired, as by anybody's publishing them again. */
async function publishOnce(
  ledger: Ledger,
  publish: Publish,
  { file, sha256, checkpoint, version, metadata }: ShippedDetector,
): Promise<boolean> {
  const known = await ledger.resolve(checkpoint.owner, checkpoint.name, version)
  if (known !== undefined && (await shippedBlob(ledger, known, sha256))?.state !== 'quarantined')
    return false
  const { size } = await stat(file)
  await publish({
    principal: SERVER,
    address: undefined,
    checkpoint,
    version,
    files: one({ path: DEFAULT_PATH, body: bytesOf(file), announcedBytes: size }),
    facts: () => ({ metadata, expected: new Map([[DEFAULT_PATH, sha256]]), held: [] }),
  })
  return true
}

/** False where the tag was ever set, or the version isn't what is shipped, or isn't available. */
async function tagOnce(
  ledger: Ledger,
  { sha256, checkpoint, version, tag }: ShippedDetector,
): Promise<boolean> {
  const { owner, name } = checkpoint
  const history = await ledger.tagHistory({ owner, name, tag, before: undefined, limit: 1 })
  if (history === undefined || history.length > 0) return false
  const found = await ledger.resolve(owner, name, version)
  if (found === undefined || (await shippedBlob(ledger, found, sha256)) === undefined) return false
  const change = { principal: SERVER, address: undefined, checkpoint, tag, expected: null }
  await moveTag(ledger, change, found.version.revision)
  return true
}

/** The stored file of an available version, where it is the one that is shipped. */
async function shippedBlob(
  ledger: Ledger,
  { via, version }: Resolved,
  sha256: Sha256,
): Promise<VersionFile['blob'] | undefined> {
  if (via !== 'version' || version.state === 'withdrawn') return undefined
  const [file] = await ledger.filesOf(version.id)
  return file?.blob.sha256 === sha256 ? file.blob : undefined
}

/** Somebody put another file there, or there is no room: whoever reads the log learns of it. */
async function enterRefusal(
  ledger: Ledger,
  { checkpoint, version }: ShippedDetector,
  error: RegistryError,
): Promise<void> {
  const request = { principal: SERVER, address: undefined, checkpoint, version }
  await ledger.appendAudit([refusalNote(request, error)]).catch(() => undefined)
}

/** Opens the file when it is read. */
async function* bytesOf(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) yield chunk
}
