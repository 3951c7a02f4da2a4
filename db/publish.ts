import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import { readBlobs, type Upserted } from './blobs.ts'
import { transaction } from './connect.ts'
import { newBranches } from './branches.ts'
import type { AskedOfTensors, CommitRefusal, PolicyRefusal } from './changes.ts'
import { readCheckpoints, writeCheckpoints } from './checkpoints.ts'
import { contentRules } from './content-rules.ts'
import { writeContents } from './contents.ts'
import type { AuditNote, Publication, PublishedFile, PublishOutcome, Role } from './ledger.ts'
import { permits } from './permit.ts'
import { readPolicies, tagProtection } from './policies.ts'
import { LATEST, readTags, writeTags } from './tags.ts'
import { writeUploads } from './uploads.ts'
import { readVersions, writeVersions, type Existing } from './versions.ts'

/** Who publishes and when, as every row and entry of one publication says it. */
interface Act {
  readonly actorName: string
  readonly now: string
}

/** Thrown inside the transaction, so that nothing remains of it. */
class Refused extends Error {
  readonly refusal: PolicyRefusal

  constructor(refusal: PolicyRefusal) {
    super(refusal.outcome)
    this.refusal = refusal
  }
}

/**
 * The transaction that publishes. Who may publish, and whether the name is free, is decided in here and
 * nowhere else, so that a revoked token or a second publisher can't slip in between check and insert.
 */
export function publishTransaction(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = { ...readCheckpoints(db), ...writeCheckpoints(db) }
  const versions = { ...readVersions(db), ...writeVersions(db) }
  const blobs = readBlobs(db)
  const tags = { ...readTags(db), ...writeTags(db) }
  const putContent = writeContents(db)
  const policiesOf = readPolicies(db)
  const isProtected = tagProtection(db)
  const branches = newBranches(db)
  const uploads = writeUploads(db)
  const rules = contentRules(db)
  const audit = writeAudit(db, key)

  function publish(publication: Publication): PublishOutcome {
    const { owner, name, version } = publication
    const now = new Date().toISOString()
    const permitted = permit(publication, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const act = { actorName: permitted.actorName, now }

    const checkpoint = checkpoints.find(owner, name)
    if (checkpoint !== undefined && (checkpoint.owner !== owner || checkpoint.name !== name))
      return { outcome: 'spelled_differently', owner: checkpoint.owner, name: checkpoint.name }
    // The server's tag comes into being with the first version, whose name is judged before.
    if (version === LATEST || (checkpoint && isTaken(checkpoint.id, version)))
      return { outcome: 'tag_exists' }
    const existing = checkpoint && versions.find(checkpoint.id, version)
    if (existing !== undefined) return again(publication, existing, act)
    if (permitted.role !== 'admin' && isProtected.asVersion(owner, name, version))
      return { outcome: 'name_protected' }

    const astray = judgeCommit(publication, checkpoint, permitted.role)
    if (astray !== undefined) return astray
    if (!isAsJudged(publication)) return { outcome: 'policy_changed' }
    const missing = firstMissing(publication, now)
    if (missing !== undefined) return { outcome: 'blob_missing', path: missing.path }
    if (checkpoint?.deleted_at != null) checkpoints.revive(checkpoint.id)
    return admit(publication, checkpoint?.id ?? checkpoints.insert(owner, name, now), act)
  }

  /** By a tag, or by a branch, which will be one once something is committed to it. */
  const isTaken = (checkpoint: number, name: string): boolean =>
    tags.find(checkpoint, name) !== undefined || branches.has(checkpoint, name)

  /** A commit is built upon what its branch names now, and moves it along. */
  function judgeCommit(
    { commit, owner, name }: Publication,
    checkpoint: ReturnType<typeof checkpoints.find>,
    role: Role,
  ): CommitRefusal | undefined {
    if (commit === undefined) return undefined
    if (checkpoint === undefined || checkpoint.deleted_at !== null)
      return { outcome: 'checkpoint_missing' }
    const { branch, parent } = commit
    const at = tags.find(checkpoint.id, branch ?? LATEST)
    const head = at?.revision ?? null
    if (branch !== undefined) {
      const isBranch = at === undefined ? branches.has(checkpoint.id, branch) : at.kind === 'branch'
      if (!isBranch) return { outcome: 'branch_missing' }
      if (role !== 'admin' && isProtected.asTag(owner, name, branch))
        return { outcome: 'branch_protected' }
    }
    return head === parent ? undefined : { outcome: 'head_moved', current: head }
  }

  /** A version of that name is there: the same again refreshes its bytes, anything else is refused. */
  function again(publication: Publication, existing: Existing, act: Act): PublishOutcome {
    if (existing.state === 'withdrawn')
      return { outcome: 'withdrawn', reason: existing.withdrawn_reason ?? '' }
    if (existing.revision !== publication.revision.toLowerCase())
      return { outcome: 'exists', revision: existing.revision }
    const retired: string[] = []
    for (const file of publication.files) putBlob(file, publication, act, retired)
    return { outcome: 'same', retired }
  }

  /** Whether the policy that the publication was judged by is the one that holds. */
  function isAsJudged({ owner, name, asked: { serials } }: Publication): boolean {
    const levels = policiesOf(owner, name)
    return (
      levels.owner?.serial === serials.owner && levels.checkpoint?.serial === serials.checkpoint
    )
  }

  function admit(publication: Publication, checkpoint: number, act: Act): PublishOutcome {
    const { version, revision, files, asked } = publication
    const model = modelOf(asked)
    const { now, actorName } = act
    const metadata = JSON.stringify(publication.metadata)
    const warnings = JSON.stringify(publication.warnings)
    const branch = publication.commit?.branch
    const isSide = branch === undefined ? 0 : 1
    const row = {
      checkpoint,
      version,
      revision,
      metadata,
      warnings,
      now,
      createdBy: actorName,
      isSide,
    } as const
    const id = versions.insert(row)
    const retired: string[] = []
    // Bytes before names of bytes: a file may name what another file of this publication brings.
    for (const file of files) {
      const blob = putBlob(file, publication, act, retired)
      if (blob !== undefined) versions.addFile(id, file.path, blob.id)
    }
    for (const file of files)
      if (file.blob === undefined) versions.addHeldFile(id, file.path, file.sha256)
    versions.addUp(id)
    requireTensors(id, asked, model)
    const head = tags.find(checkpoint, branch ?? LATEST)
    const previous = head?.revision ?? null
    if (branch === undefined) tags.move(checkpoint, LATEST, id, now)
    else {
      tags.move(checkpoint, branch, id, now, 'branch')
      branches.remove(checkpoint, branch)
    }
    if (publication.commit !== undefined) {
      const { summary, description } = publication.commit
      versions.addCommit({ version: id, parent: head?.versionId ?? null, summary, description })
    }
    const { tokenId: token, owner, name } = publication
    if (token !== undefined) uploads.settle({ token, owner, name }, id)
    const size = files.reduce((sum, file) => sum + file.size, 0)
    const moved = branch === undefined ? {} : { branch }
    enter('publish', publication, act, { files: files.length, size, previous, ...moved })
    if (branch !== undefined) enterMove(publication, branch, previous, act)
    return { outcome: 'created', retired }
  }

  /** The version whose tensors are asked for, as it is before this one: `latest` would be this one soon. */
  function modelOf({ sameTensorsAs }: AskedOfTensors): number | undefined {
    if (sameTensorsAs === undefined) return undefined
    const { owner, name, ref, mayBeMissing } = sameTensorsAs
    const version = versions.resolve(owner, name, ref)?.version
    if (version?.state === 'available') return version.id
    if (mayBeMissing) return undefined
    throw new Refused({ outcome: 'tensors_ref_missing' })
  }

  /** Judged by the rows themselves, which go with the transaction when they are refused. */
  function requireTensors(id: number, { finite }: AskedOfTensors, model: number | undefined): void {
    const refusal =
      (model === undefined ? undefined : rules.firstDifference(id, model)) ??
      (finite ? rules.firstNotFinite(id) : undefined)
    if (refusal !== undefined) throw new Refused(refusal)
  }

  /** The first file that names bytes which neither the registry holds for this token nor this publication brings. */
  function firstMissing(publication: Publication, now: string): PublishedFile | undefined {
    const { files, tokenId, owner, name } = publication
    const brought = new Set(files.filter((file) => file.blob).map((file) => file.sha256))
    return files.find((file) => {
      if (file.blob !== undefined || brought.has(file.sha256)) return false
      if (tokenId === undefined) return true
      const held = blobs.heldBy(file.sha256, { token: tokenId, owner, name, now })
      return held?.blob.size !== file.size
    })
  }

  function putBlob(
    file: PublishedFile,
    publication: Publication,
    act: Act,
    retired: string[],
  ): Upserted | undefined {
    if (file.blob === undefined) return undefined
    const blob = putContent({ ...file, blob: file.blob }, act.now)
    if (blob.retired !== undefined) retired.push(blob.retired)
    if (blob.repaired) enter('repair', publication, act, { path: file.path, sha256: file.sha256 })
    return blob
  }

  /** For the history of the branch, as when any tag is moved. */
  function enterMove(
    { tokenId, address, owner, name, version, revision }: Publication,
    branch: string,
    from: string | null,
    { actorName, now }: Act,
  ): void {
    const actor = { actorId: tokenId, actorName, address }
    const subject = `${owner}/${name}@${branch}`
    const details = { from, to: revision, version }
    audit.append([{ action: 'tag', ...actor, subject, revision, outcome: 'ok', details }], now)
  }

  function enter(
    action: string,
    publication: Publication,
    { actorName, now }: Act,
    details: AuditNote['details'],
  ): void {
    const { tokenId, address, owner, name, version, revision } = publication
    const subject = `${owner}/${name}@${version}`
    const actor = { actorId: tokenId, actorName, address }
    audit.append([{ action, ...actor, subject, revision, outcome: 'ok', details }], now)
  }

  const run = transaction(db, publish)
  return (publication: Publication): PublishOutcome => {
    try {
      return run(publication)
    } catch (error) {
      if (error instanceof Refused) return error.refusal
      throw error
    }
  }
}
