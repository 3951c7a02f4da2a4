import { join } from 'node:path'
import type { Description } from '../client/answers.ts'
import { type Connection } from '../client/connection.ts'
import { targetBelow } from '../client/part-file.ts'
import {
  type DescribedFile,
  type LocalBase,
  openBase,
  segmentsOf,
  sourceOf,
  type Tally,
} from '../client/pull-delta.ts'
import { isPresent, pullFile } from '../client/pull-file.ts'
import { type RemoteVersion, remoteVersion, type VersionRef } from '../client/registry.ts'
import { RegistryError } from '../errors.ts'
import type { Sha256 } from '../registry/names.ts'
import { describeRef } from './described.ts'
import { createBar } from './progress.ts'
import { type Shell, UsageError } from './shell.ts'
import { bytesInWords, printable } from './words.ts'

export interface FilesWanted {
  /** Of the version, or all of it. */
  readonly path: string | undefined
  readonly sha256: Sha256 | undefined
  /** To write to. */
  readonly folder: string
  readonly base: { readonly version: VersionRef; readonly folder: string } | undefined
  readonly isJson: boolean
}

interface Pulled extends Tally {
  readonly file: DescribedFile
  readonly local: string
  readonly outcome: 'present' | 'downloaded'
  readonly appear: () => Promise<void>
}

const NOTHING: Tally = { fetchedBytes: 0, reusedBytes: 0 }

/** Downloads the files of `version`; `target` is what the caller called it. */
export async function pullFiles(
  connection: Connection,
  target: VersionRef,
  version: Description,
  wanted: FilesWanted,
  shell: Shell,
): Promise<void> {
  const files = select(version, wanted)
  const remote = remoteVersion(connection, { ...target, ref: version.revision })
  const base = await baseOf(connection, wanted, shell)
  const done: Pulled[] = []
  try {
    for (const file of files) {
      const pulled = await pullOne(remote, file, wanted.folder, base?.local, shell)
      done.push(pulled)
      // Files of the base are replaced when nothing is copied from them any more, this time or the next.
      if (base === undefined) await finish(pulled, wanted, shell)
    }
  } finally {
    await base?.local.close()
  }
  if (base !== undefined) for (const pulled of done) await finish(pulled, wanted, shell)
  if (wanted.isJson) shell.say(JSON.stringify(documentOf(version, base?.version, done), null, 2))
  else if (base !== undefined) shell.say(savingsOf(done))
}

async function baseOf(
  connection: Connection,
  { base }: FilesWanted,
  shell: Shell,
): Promise<{ readonly version: Description; readonly local: LocalBase } | undefined> {
  if (base === undefined) return undefined
  const version = await describeRef(connection, base.version)
  const remote = remoteVersion(connection, { ...base.version, ref: version.revision })
  const local = await openBase(remote, version.files, base.folder, ({ path }, why) => {
    shell.note(printable(`base: ${join(base.folder, path)} is not used: ${why}`))
  })
  return { version, local }
}

async function pullOne(
  remote: RemoteVersion,
  file: DescribedFile,
  folder: string,
  base: LocalBase | undefined,
  shell: Shell,
): Promise<Pulled> {
  const local = await targetBelow(folder, file.path)
  if (await isPresent(local, file)) {
    return { file, local, outcome: 'present', appear: async () => Promise.resolve(), ...NOTHING }
  }
  const leaves = await remote.leaves(file)
  const segments = base === undefined ? [] : await segmentsOf(base, remote, file, leaves)
  const source = sourceOf(remote, file, segments, base?.files ?? [])
  const bar = createBar(shell, file.path, file.size)
  const appear = await pullFile(source, file, leaves, local, bar.at).finally(bar.end)
  return { file, local, outcome: 'downloaded', appear, ...source.tally() }
}

async function finish(pulled: Pulled, { base, isJson }: FilesWanted, shell: Shell): Promise<void> {
  await pulled.appear()
  if (!isJson) shell.say(sentenceOf(pulled, base !== undefined))
}

function select({ files }: Description, { path, sha256 }: FilesWanted): readonly DescribedFile[] {
  const wanted = path === undefined ? files : files.filter((file) => file.path === path)
  const [first, ...others] = wanted
  if (first === undefined) {
    throw new RegistryError('NOT_FOUND', 'There is no such file in this version.', { what: 'file' })
  }
  if (sha256 === undefined) return wanted
  if (others.length > 0)
    throw new UsageError('The version has several files: --sha256 needs --path.')
  if (first.sha256 !== sha256) {
    throw new RegistryError('DIGEST_MISMATCH', 'The file is not the one expected.', {
      expected: sha256,
      actual: first.sha256,
    })
  }
  return wanted
}

function sentenceOf(pulled: Pulled, hasBase: boolean): string {
  const { file, local, outcome, fetchedBytes, reusedBytes } = pulled
  const became = outcome === 'present' ? 'was already there' : 'downloaded'
  const parts =
    hasBase && outcome === 'downloaded'
      ? `: ${bytesInWords(fetchedBytes)} fetched, ${bytesInWords(reusedBytes)} from the base`
      : ''
  return `${printable(join(local))}  ${became}  ${bytesInWords(file.size)}${parts}  sha256 ${file.sha256}`
}

function savingsOf(done: readonly Pulled[]): string {
  const { fetchedBytes, reusedBytes } = sumOf(done)
  const size = done.reduce((sum, { file }) => sum + file.size, 0)
  return `${bytesInWords(fetchedBytes)} fetched for ${bytesInWords(size)}, ${bytesInWords(reusedBytes)} from the base`
}

const sumOf = (tallies: readonly Tally[]): Tally =>
  tallies.reduce(
    (sum, { fetchedBytes, reusedBytes }) => ({
      fetchedBytes: sum.fetchedBytes + fetchedBytes,
      reusedBytes: sum.reusedBytes + reusedBytes,
    }),
    NOTHING,
  )

function documentOf(
  version: Description,
  base: Description | undefined,
  done: readonly Pulled[],
): object {
  return {
    ...nameOf(version),
    ...(base === undefined ? {} : { base: nameOf(base) }),
    ...bytesOf(sumOf(done)),
    files: done.map((pulled) => ({
      path: pulled.file.path,
      local: pulled.local,
      size: pulled.file.size,
      sha256: pulled.file.sha256,
      outcome: pulled.outcome,
      ...bytesOf(pulled),
    })),
  }
}

const nameOf = ({ checkpoint, version, revision }: Description): object => ({
  checkpoint,
  version,
  revision,
})

const bytesOf = ({ fetchedBytes, reusedBytes }: Tally): object => ({
  fetched_bytes: fetchedBytes,
  reused_bytes: reusedBytes,
})
