import { type Command, Option } from 'commander'
import { resolve } from 'node:path'
import { misused } from '../client/local-failure.ts'
import type { VersionRef } from '../client/registry.ts'
import { abortOnSignal } from './abort-on-signal.ts'
import { addClientOptions, type ClientOptions, connect } from './client-options.ts'
import { addJobOptions, jobLimitsOf, type JobOptions } from './job-options.ts'
import { destinationOf, type VersionOf } from './migrate/destination.ts'
import { migrateFile, type Order, type Progress } from './migrate/migrate-file.ts'
import { createReport } from './migrate/report.ts'
import { nothingIn, type Source, sourcesOf } from './migrate/sources.ts'
import { type Shell, UsageError } from './shell.ts'
import { printable } from './words.ts'

interface MigrateOptions extends ClientOptions, JobOptions {
  readonly checkpointDir?: string
  readonly output?: string
  readonly push?: string
  readonly root?: string
  readonly tied: 'keep' | 'duplicate'
  readonly backup?: boolean
  readonly deleteOriginals?: boolean
  readonly opaque?: boolean
  readonly dryRun?: boolean
}

const HELP = `
Folders are searched for .pt, .pth, .bin and .ckpt; a file that is named is taken whatever it is called. What a file is
follows from its content. It is read in a process of its own that can open no other file and runs nothing of it.

The new file lies beside the source (model.pt becomes model.safetensors), or below -o with the same folders. It is
written under another name, synced, compared with the source tensor by tensor, and appears when it is whole; nothing is
ever replaced. A source whose new file is there already is passed over; with --root, --tied duplicate or --opaque it is
made anew and compared, and fails where that gives something else. What a run that was killed leaves beside the new file
is .NAME.….strongroom-part and can be deleted.

Where a checkpoint holds two models, migrate it with --root for each, and with -o for the second. --root '' takes all of
it as one tree.

--backup and --delete-originals touch a source only once the new file was read again from the disk and, with --push, by
the registry. --delete-originals deletes with it what is listed as dropped, such as the state of an optimizer.

With --push owner/name each file becomes a version of its own name, with owner/name@version the one file becomes that.`

/** `strongroom migrate DIR|FILE…`. */
export function addMigrate(program: Command, shell: Shell): void {
  const command = program
    .command('migrate')
    .description('make safetensors of checkpoints of torch.save, running nothing of them')
    .argument('[dir|file...]')
    .option('--checkpoint-dir <dir>', 'the same as DIR')
    .option('-o, --output <dir>', 'folder for the new files; it is made')
    .option('--push <owner/name[@version]>', 'publish them too')
    .option('--root <key.key>', 'where the weights are in the checkpoint, unless it is plain')
    .addOption(
      new Option('--tied <how>', 'tied weights: once, and the other names noted; or each')
        .choices(['keep', 'duplicate'])
        .default('keep'),
    )
    .option('--backup', 'rename what was migrated to NAME.bak; outdoes --delete-originals')
    .option('--delete-originals', 'delete what was migrated, and with it what is listed as dropped')
    .option('--opaque', 'leave out objects of classes that are not known, and list them')
    .option('--dry-run', 'say what would be done, and do nothing')
    .addHelpText('after', HELP)
  addJobOptions(command)
  addClientOptions(command).action(async (paths: readonly string[], options: MigrateOptions) => {
    const { checkpointDir, push, json: isJson = false } = options
    const given = checkpointDir === undefined ? paths : [...paths, checkpointDir]
    if (given.length === 0) throw new UsageError('Give a folder or a file.')
    const order = orderOf(options, shell)
    const { sources, foldersWithout } = await sourcesOf(given, options.output)
    const versionOf = push === undefined ? undefined : destinationOf(push, sources)
    for (const folder of foldersWithout) shell.note(printable(nothingIn(folder)))
    await migrateAll(sources, versionOf, order, shell, isJson)
  })
}

function orderOf(options: MigrateOptions, shell: Shell): Order {
  const { root, tied, opaque, backup, deleteOriginals, dryRun: isDryRun = false } = options
  return {
    root,
    writesTiedTwice: tied === 'duplicate',
    isOpaqueAllowed: opaque === true,
    limits: jobLimitsOf(options),
    isDryRun,
    original: backup === true ? 'back_up' : deleteOriginals === true ? 'delete' : 'keep',
    connection: options.push === undefined || isDryRun ? undefined : connect(options, shell),
  }
}

async function migrateAll(
  sources: readonly Source[],
  versionOf: VersionOf | undefined,
  order: Order,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const signal = abortOnSignal()
  const report = createReport(shell, isJson)
  const claim = createClaims(versionOf)
  for (const source of sources) {
    if (signal.aborted) break
    if (shell.isWatched) shell.note(printable(`migrating ${source.path}`))
    const progress: Progress = { original: 'kept' }
    let error: unknown
    try {
      await migrateFile(source, claim(source), order, progress, signal)
    } catch (caught) {
      // Whatever it is, the next file may be well.
      error = caught
      shell.end(1)
    }
    report.add({ source: source.path, progress, error })
  }
  report.end()
  if (signal.aborted) throw signal.reason
}

/** Gives each source its version; a target or a version that two would have is the first one's. */
function createClaims(
  versionOf: VersionOf | undefined,
): (source: Source) => VersionRef | undefined {
  const claimed = new Map<string, string>()
  const claim = ({ path }: Source, what: string, name: string, advice: string): void => {
    const other = claimed.get(name)
    if (other !== undefined) throw misused(path, `${what} is ${other}’s already; ${advice}`)
    claimed.set(name, path)
  }
  return (source) => {
    if (source.trouble !== undefined) return undefined
    const { target } = source
    claim(source, target, resolve(target), 'give it a folder of its own with -o')
    const version = versionOf?.(source)
    if (version !== undefined)
      claim(source, `the version ${version.ref}`, `@${version.ref}`, 'push it by itself, to owner/name@version') // prettier-ignore
    return version
  }
}
