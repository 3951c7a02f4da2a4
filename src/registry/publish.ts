import type { Commit } from '../../db/changes.ts'
import {
  type Ledger,
  type Publication,
  type PublishedFile,
  type PublishRefusal,
  type Role,
} from '../../db/ledger.ts'
import type { Doer } from '../access/principal.ts'
import { type Facts, RegistryError } from '../errors.ts'
import type { HashPool } from '../hashing/pool.ts'
import { isStorageFull, storageFull } from '../storage-full.ts'
import type { Admit, Admitted } from '../vault/admit.ts'
import type { Vault } from '../vault/vault.ts'
import { checkIndexes } from './check-indexes.ts'
import { checkSidecars } from './check-sidecars.ts'
import { type KindOf, kindsOf, requireSameKinds } from './file-kinds.ts'
import { findHeldFiles, type HeldFile, type ReadHeld } from './held-files.ts'
import { askedOf, createSizeBudget, judgeMetadata, policyOfNew } from './judge.ts'
import {
  asciiLowerCase,
  type CheckpointName,
  comparePaths,
  type FilePath,
  type Sha256,
  type VersionName,
} from './names.ts'
import { effective } from './policy.ts'
import { publishedFile } from './published-file.ts'
import { publishRefusal } from './publish-refusal.ts'
import { revisionOf } from './revision.ts'
import type { FindStanding } from './standing-copy.ts'
import {
  createMetadataBudget,
  mergeMetadata,
  type MetadataLimits,
  type Metadata,
  metadataTroubles,
  warningOf,
} from './version-metadata.ts'

/** A file as it comes in; its body is read once, in turn. */
export interface IncomingFile {
  readonly path: FilePath
  readonly body: AsyncIterable<Uint8Array>
  readonly announcedBytes: number | undefined
}

/** What may be known only after the last file: the fields of a form come in any order. */
export interface PublishFacts {
  readonly metadata: Metadata
  /** What the caller believes the digests to be. */
  readonly expected: ReadonlyMap<string, Sha256>
  /** Files named by content, which the caller must have. */
  readonly held: readonly { readonly path: FilePath; readonly sha256: Sha256 }[]
}

export interface PublishRequest {
  readonly principal: Doer
  /** Undefined for the server itself. */
  readonly address: string | undefined
  readonly checkpoint: CheckpointName
  readonly version: VersionName
  readonly files: AsyncIterable<IncomingFile>
  readonly facts: () => PublishFacts
  /** Where it is built upon another version. */
  readonly commit?: Commit | undefined
}

export interface PublishLimits extends MetadataLimits {
  readonly maxFiles: number
}

/** `created`, or `same` when exactly this was published before. */
export type Publish = (request: PublishRequest) => Promise<'created' | 'same'>

interface NewFile {
  readonly path: FilePath
  readonly admitted: Admitted
}

/** All or nothing: every file is proven and durable before one ledger transaction makes the version exist. */
export function createPublish(parts: {
  readonly ledger: Ledger
  readonly vault: Vault
  readonly admit: Admit
  readonly pool: HashPool
  readonly readHeld: ReadHeld
  readonly findStanding: FindStanding
  readonly limits: PublishLimits
}): Publish {
  const { ledger, vault, admit, pool, readHeld, findStanding, limits } = parts

  return async function publish(request) {
    const admitted: NewFile[] = []
    const spendMetadata = createMetadataBudget(limits)
    const levels = await policyOfNew(ledger, request.checkpoint, request.version)
    const spendSize = createSizeBudget(effective(levels))
    const kindOf = await kindsOf(ledger, request.checkpoint, request.version)
    let discard = true
    try {
      for await (const { path, body, announcedBytes } of request.files) {
        if (admitted.length === limits.maxFiles) throw tooManyFiles(limits.maxFiles)
        const kind = kindOf(path)
        const file = await admit(spending(body, spendSize), { path, kind, announcedBytes })
        admitted.push({ path, admitted: file })
        spendMetadata(file.header?.metadata ?? {})
      }
      const facts = request.facts()
      checkDigests(admitted, facts.expected)
      spendMetadata(facts.metadata)
      checkPaths([...admitted, ...facts.held], limits.maxFiles)
      const { principal } = request
      const held = await findHeldFiles(
        ledger,
        principal,
        request.checkpoint,
        facts.held,
        kindOf,
        spendMetadata,
      )
      await checkSidecars(pool, held, readHeld)
      await checkIndexes(pool, ledger, admitted, held, readHeld)
      const draft = await draftOf(request, facts.metadata, admitted, held, kindOf)
      for (const { admitted: file } of admitted) await file.staged.seal()
      // A failure from here on may be one of an answer that got lost after the commit. Bytes that have a row
      // must stay; bytes without one are swept at the next start.
      discard = false
      const outcome = await ledger.publish(draft)
      if (!('retired' in outcome)) {
        discard = true
        throw await refusalOf(outcome, draft)
      }
      for (const id of outcome.retired) await vault.remove(id)
      return outcome.outcome
    } catch (error) {
      if (!isStorageFull(error)) throw error
      discard = true
      throw storageFull(error)
    } finally {
      for (const { admitted: file } of admitted) file.release()
      // What can't be removed now has no row, and is swept at the next start.
      if (discard) await Promise.allSettled(admitted.map((file) => file.admitted.staged.discard()))
    }
  }

  async function refusalOf(
    outcome: PublishRefusal,
    { owner, name, version }: Publication,
  ): Promise<RegistryError> {
    const tagged =
      outcome.outcome === 'tag_exists' ? await ledger.resolve(owner, name, version) : undefined
    return publishRefusal(outcome, tagged?.version.revision)
  }

  async function draftOf(
    { principal, version, address, checkpoint, commit }: PublishRequest,
    callerMetadata: Metadata,
    admitted: readonly NewFile[],
    held: readonly HeldFile[],
    kindOf: KindOf,
  ): Promise<Publication> {
    const proven: PublishedFile[] = []
    for (const { path, admitted: file } of admitted)
      proven.push(publishedFile(path, file, await findStanding(file.digests.sha256)))
    const files = [...proven, ...held.map(asNamed)].sort((a, b) => comparePaths(a.path, b.path))
    const own = [
      ...admitted.flatMap(({ admitted: { header } }) =>
        header === undefined ? [] : [header.metadata],
      ),
      ...held.flatMap(({ file }) => (file.blob.kind === 'safetensors' ? [file.metadata] : [])),
    ]
    const metadata = mergeMetadata(own, callerMetadata)
    const troubles = metadataTroubles(metadata, version, new Date())
    const levels = await policyOfNew(ledger, checkpoint, version)
    const policy = effective(levels)
    requireSameKinds([...admitted, ...held], kindOf, await kindsOf(ledger, checkpoint, version))
    judgeMetadata(policy, metadata, version, troubles)
    createSizeBudget(policy)(files.reduce((sum, { size }) => sum + size, 0))
    // The first publisher's spelling is the checkpoint's name, and the revision rests on it.
    const { owner, name } =
      (await ledger.checkpoint(checkpoint.owner, checkpoint.name)) ?? checkpoint
    return {
      tokenId: principal.tokenId,
      roles: rolesThatPublish(owner),
      owner,
      name,
      version,
      revision: revisionOf({ checkpoint: `${owner}/${name}`, version, metadata, files }),
      metadata,
      warnings: troubles.map(warningOf),
      files,
      address,
      asked: askedOf(levels, checkpoint),
      commit,
    }
  }
}

/** Who may publish below an owner; `strongroom` is the server's own. */
export const rolesThatPublish = (owner: string): readonly Role[] =>
  asciiLowerCase(owner) === 'strongroom' ? ['admin'] : ['writer', 'admin']

async function* spending(
  body: IncomingFile['body'],
  spend: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    spend(chunk.length)
    yield chunk
  }
}

const asNamed = ({ path, file }: HeldFile): PublishedFile => ({
  path,
  sha256: file.blob.sha256,
  size: file.blob.size,
  blob: undefined,
})

export const digestMismatch = (facts: Facts): RegistryError =>
  new RegistryError(
    'DIGEST_MISMATCH',
    'What arrived is not what the caller’s digest names; nothing was kept.',
    facts,
  )

function checkDigests(files: readonly NewFile[], expected: ReadonlyMap<string, Sha256>): void {
  for (const [path, digest] of expected) {
    const actual = files.find((file) => file.path === path)?.admitted.digests.sha256
    if (actual !== digest) {
      throw digestMismatch({ path, expected: digest, actual: actual ?? null })
    }
  }
}

function checkPaths(files: readonly { readonly path: FilePath }[], maxFiles: number): void {
  if (files.length === 0) throw invalidRequest('files', 'a version has at least one file')
  if (files.length > maxFiles) throw tooManyFiles(maxFiles)
  const seen = new Set<string>()
  for (const { path } of files) {
    if (seen.has(path)) throw invalidRequest('files', 'two files have the same path')
    seen.add(path)
  }
}

const invalidRequest = (field: string, message: string): RegistryError =>
  new RegistryError('INVALID_REQUEST', `Invalid request: ${message}.`, {
    errors: [{ field, detail: message }],
  })

export const tooManyFiles = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', `A version has at most ${limit} files.`, { limit })
