import { setImmediate } from 'node:timers/promises'
import type { Ledger } from '../../db/ledger.ts'
import type { Principal } from '../access/principal.ts'
import { invalidField, RegistryError } from '../errors.ts'
import { none } from '../items.ts'
import type { CheckpointName, FilePath, Sha256 } from '../registry/names.ts'
import { parseVersionName, type VersionName } from '../registry/names.ts'
import { policyFor } from '../registry/policy.ts'
import { type Publish, tooManyFiles } from '../registry/publish.ts'
import { notFound, type ResolvedVersion } from '../registry/resolve.ts'
import { kindOf } from '../registry/file-kinds.ts'
import type { FileKind } from '../vault/judging.ts'
import type { CommitHeader, CommitOperation } from './commit-lines.ts'
import { naming, refused, requireAdmissibleName, requireSidecar } from './file-verdict.ts'
import { oneByOne } from './one-by-one.ts'
import type { Holdings } from './held.ts'
import { knownRepo } from './known-repo.ts'
import { commitOf, EMPTY_COMMIT, refOf, resolveHub } from './revision.ts'
import type { Stage } from './stage.ts'
import type { XetSessions } from './xet-sessions.ts'

export interface CommitRequest {
  readonly principal: Principal
  readonly address: string
  readonly checkpoint: CheckpointName
  /** As the client writes it: `main`, or a branch. */
  readonly revision: string
  readonly lines: AsyncIterable<CommitHeader | CommitOperation>
}

export interface Committed {
  /** `unchanged`: what the commit asks for is what is there. */
  readonly outcome: 'created' | 'unchanged'
  readonly commit: string
  readonly revision: string
  readonly version: string
}

export type Commit = (request: CommitRequest) => Promise<Committed>

/** What a commit does to the files of the version that it is built upon, in order. */
type Change =
  | { readonly kind: 'put'; readonly path: FilePath; readonly sha256: Sha256 }
  | { readonly kind: 'delete'; readonly path: string }
  | { readonly kind: 'delete_folder'; readonly folder: string }

type Files = ReadonlyMap<string, { readonly path: FilePath; readonly sha256: Sha256 }>

/** Others publish at the same time: so often is a commit built anew upon what they left. */
const MAX_TRIES = 20
const LOOKS_A_TURN = 50_000
const MAX_SUMMARY = 1_000
const MAX_DESCRIPTION = 60_000
const LATEST = 'latest'

/**
 * Makes a version of a commit: the files of the version before it, less what is deleted, and those that the client
 * uploaded or sends along. All of it is published under the same rules as any version, or nothing is.
 *
 * @throws {RegistryError} PRECONDITION_FAILED when the client's parent isn't the branch's head, and what publishing throws.
 */
export function createCommit(parts: {
  readonly ledger: Ledger
  readonly holdings: Holdings
  readonly stage: Stage
  readonly publish: Publish
  readonly xet: Pick<XetSessions, 'refusalOf' | 'settle'>
  readonly maxFiles: number
}): Commit {
  const { ledger, holdings, stage, publish, xet, maxFiles } = parts
  const turns = oneByOne()

  return async function commit(request) {
    const { checkpoint, revision } = request
    const branch = await branchOf(ledger, checkpoint, revision)
    const { sidecars } = await policyFor(ledger, checkpoint)
    const kind = (path: string): FileKind => kindOf(path, sidecars)
    const { header, changes } = await takeLines(request, kind)
    const key = `${checkpoint.owner}/${checkpoint.name}`.toLowerCase()
    return turns(key, () => land({ ...request, header, branch, kind }, changes))
  }

  /** Commits to a checkpoint take turns in here; what is published beside them may still overtake one. */
  async function land(
    request: CommitRequest & {
      readonly header: CommitHeader
      readonly branch: string | undefined
      readonly kind: (path: string) => FileKind
    },
    changes: readonly Change[],
  ): Promise<Committed> {
    const { checkpoint, principal, header, branch } = request
    for (let tries = 1; ; tries++) {
      const head = await headOf(checkpoint, branch)
      requireParent(header, head)
      const before = filesOf(head)
      const after = await apply(before, changes)
      await requireHeld(principal, checkpoint, changes, before)
      if (head !== undefined && isSame(before, after)) {
        const { version } = head
        return {
          outcome: 'unchanged',
          commit: commitOf(version.revision),
          revision: version.revision,
          version: version.version,
        }
      }
      // Those of the version before are kept under the policy that there is now.
      for (const path of after.keys()) requireSidecar(path, request.kind(path))
      requireFolders(after)
      requireWhole(head, after)
      const version = await nextLabel(checkpoint)
      try {
        return await publishOn({ ...request, head, version, after })
      } catch (error) {
        if (tries === MAX_TRIES || !isOvertaken(error)) throw error
      }
    }
  }

  /** Takes in the files that are sent along, each of them judged, so that only what is good is built upon. */
  async function takeLines(
    { lines, principal, address, checkpoint }: CommitRequest,
    kind: (path: string) => FileKind,
  ): Promise<{ header: CommitHeader; changes: readonly Change[] }> {
    let header: CommitHeader | undefined
    const changes: Change[] = []
    let files = 0
    for await (const line of lines) {
      if (header === undefined) {
        if (line.key !== 'header')
          throw invalidField('body', 'begins with another line than the header')
        header = { ...line, ...wordsOf(line) }
        continue
      }
      switch (line.key) {
        case 'header':
          throw invalidField('body', 'has two headers')
        case 'deletedFile':
          changes.push({ kind: 'delete', path: line.path })
          break
        case 'deletedFolder':
          changes.push({ kind: 'delete_folder', folder: line.path })
          break
        case 'file':
        case 'lfsFile': {
          if (++files > maxFiles) throw tooManyFiles(maxFiles)
          const { path } = line
          requireAdmissibleName(path, kind(path))
          const sha256 =
            line.key === 'lfsFile'
              ? line.oid
              : await stage({
                  principal,
                  address,
                  checkpoint,
                  path,
                  kind: kind(path),
                  body: line.content(),
                  announcedBytes: undefined,
                  expected: undefined,
                }).catch((error: unknown) => {
                  throw naming(path, error)
                })
          changes.push({ kind: 'put', path, sha256 })
        }
      }
    }
    if (header === undefined) throw invalidField('body', 'has no header')
    return { header, changes }
  }

  /** The version that the branch names; undefined where nothing was committed to it. */
  async function headOf(
    checkpoint: CheckpointName,
    branch: string | undefined,
  ): Promise<ResolvedVersion | undefined> {
    const head = await resolveHub(ledger, checkpoint, branch ?? 'main')
    return head === 'empty' ? undefined : head
  }

  /** What a client names without having uploaded it is told by its path, before anything is published. */
  async function requireHeld(
    { tokenId }: Principal,
    checkpoint: CheckpointName,
    changes: readonly Change[],
    before: Files,
  ): Promise<void> {
    const known = new Set([...before.values()].map(({ sha256 }) => sha256))
    for (const change of changes) {
      if (change.kind !== 'put' || known.has(change.sha256)) continue
      await setImmediate()
      if ((await holdings.find(tokenId, checkpoint, change.sha256)) === undefined) {
        const why = xet.refusalOf(tokenId, checkpoint, change.sha256)
        throw invalidField(
          `${change.path}:`,
          why ?? `its content, ${change.sha256}, was never uploaded, or is here no more`,
          'This file is refused.',
        )
      }
      known.add(change.sha256)
    }
  }

  async function publishOn(
    on: CommitRequest & {
      readonly header: CommitHeader
      readonly branch: string | undefined
      readonly head: ResolvedVersion | undefined
      readonly version: VersionName
      readonly after: Files
    },
  ): Promise<Committed> {
    const { principal, address, checkpoint, header, branch, head, version, after } = on
    if (after.size === 0)
      throw invalidField(
        'body',
        'leaves no file',
        'A commit leaves at least one file; to have none, delete the repository.',
      )
    await publish({
      principal,
      address,
      checkpoint,
      version,
      // Each was uploaded before.
      files: none(),
      facts: () => ({ metadata: {}, expected: new Map(), held: [...after.values()] }),
      commit: {
        branch,
        parent: head?.version.revision ?? null,
        summary: header.summary,
        description: header.description,
      },
    })
    await xet.settle(
      principal.tokenId,
      checkpoint,
      [...after.values()].map(({ sha256 }) => sha256),
    )
    const made = await ledger.resolve(checkpoint.owner, checkpoint.name, version)
    if (made === undefined) throw notFound('version')
    const { revision } = made.version
    return { outcome: 'created', commit: commitOf(revision), revision, version }
  }

  /** The first of r1, r2, … that names nothing; counting begins behind the versions that there are. */
  async function nextLabel({ owner, name }: CheckpointName): Promise<VersionName> {
    const known = await ledger.checkpoint(owner, name)
    if (known === undefined) throw notFound('checkpoint')
    const taken = new Set([
      ...known.versions.map(({ version }) => version),
      ...Object.keys(known.tags),
    ])
    for (const branch of known.newBranches) taken.add(branch)
    for (let n = known.versions.length + 1; ; n++)
      if (!taken.has(`r${n}`)) return parseVersionName(`r${n}`)
  }
}

/**
 * The branch that a client commits to; undefined for main.
 *
 * @throws {RegistryError} NOT_FOUND, INVALID_REQUEST for what never moves.
 */
async function branchOf(
  ledger: Ledger,
  checkpoint: CheckpointName,
  revision: string,
): Promise<string | undefined> {
  const known = await knownRepo(ledger, checkpoint)
  const ref = refOf(revision)
  if (ref === LATEST) return undefined
  if (ref !== undefined && (known.branches.includes(ref) || known.newBranches.includes(ref)))
    return ref
  if (
    ref !== undefined &&
    (await ledger.resolve(checkpoint.owner, checkpoint.name, ref)) !== undefined
  )
    throw invalidField(
      'rev',
      'names no branch',
      'Commits go to a branch, and this revision is none.',
    )
  throw notFound('version')
}

/** A client that names a parent wants its commit right there or not at all. */
function requireParent({ parentCommit }: CommitHeader, head: ResolvedVersion | undefined): void {
  if (parentCommit === undefined) return
  const revision = head?.version.revision
  const isHead =
    revision === undefined
      ? EMPTY_COMMIT.startsWith(parentCommit)
      : revision.startsWith(parentCommit)
  if (isHead) return
  throw new RegistryError(
    'PRECONDITION_FAILED',
    'The branch has moved on: its head is another commit than the parent that this one names.',
    { current: revision === undefined ? EMPTY_COMMIT : commitOf(revision) },
  )
}

const filesOf = (head: ResolvedVersion | undefined): Files =>
  new Map(
    // Both went through their parsers when the version was published.
    head?.files.map(({ path, blob }) => [
      path,
      { path: path as FilePath, sha256: blob.sha256 as Sha256 },
    ]),
  )

/** Thousands of folders may be looked for among as many files: others get their turn meanwhile. */
async function apply(before: Files, changes: readonly Change[]): Promise<Files> {
  const files = new Map(before)
  let looks = 0
  for (const change of changes) {
    looks += change.kind === 'delete_folder' ? files.size : 1
    if (looks >= LOOKS_A_TURN) {
      looks = 0
      await setImmediate()
    }
    if (change.kind === 'put') files.set(change.path, change)
    else if (change.kind === 'delete') {
      if (!files.delete(change.path)) throw notFound('file')
    } else {
      const folder = change.folder === '' || change.folder === '.' ? '' : `${change.folder}/`
      for (const path of [...files.keys()]) if (path.startsWith(folder)) files.delete(path)
    }
  }
  return files
}

/** Bytes that were found damaged are no part of a new version. */
function requireWhole(head: ResolvedVersion | undefined, after: Files): void {
  for (const { path, blob } of head?.files ?? [])
    if (blob.state !== 'sealed' && after.get(path)?.sha256 === blob.sha256)
      throw refused(path, 'its stored bytes are damaged; push it again, or delete it')
}

/** No disk has a file where another file needs a folder, so nobody could download both. */
function requireFolders(files: Files): void {
  for (const path of files.keys())
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash)
      if (files.has(folder)) throw refused(path, `needs a folder where ${folder} is a file`)
    }
}

const isSame = (before: Files, after: Files): boolean =>
  before.size === after.size &&
  [...after].every(([path, { sha256 }]) => before.get(path)?.sha256 === sha256)

/** Another commit was faster: to the branch's head, or to the label. */
const isOvertaken = (error: unknown): boolean =>
  error instanceof RegistryError &&
  (error.code === 'PRECONDITION_FAILED' || error.code === 'VERSION_EXISTS')

const wordsOf = ({
  summary,
  description,
}: CommitHeader): Pick<CommitHeader, 'summary' | 'description'> => ({
  summary: summary.slice(0, MAX_SUMMARY).toWellFormed(),
  description: description.slice(0, MAX_DESCRIPTION).toWellFormed(),
})
