import { type Command, Option } from 'commander'
import type { VersionRef } from '../client/registry.ts'
import { parseSha256 } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseRefOf,
  parseVersionRef,
  usage,
} from './client-options.ts'
import { describeRef } from './described.ts'
import { type FilesWanted, pullFiles } from './pull-files.ts'
import { type Shell, UsageError } from './shell.ts'

interface PullOptions extends ClientOptions {
  readonly output?: string
  readonly sha256?: string
  readonly path?: string
  readonly base?: string
  readonly baseDir?: string
}

const HELP = `
Every byte is hashed again on arrival. A file appears under its name when all of it is there and proven; until then
it is .NAME.….strongroom-part beside it, from which the next pull goes on. A file that is already there is left
alone; one with other content is replaced. With a full revision as REF the server needn't be trusted at all.

With --base, tensors and chunks that are the same in a version whose files are here already are copied from them, and
only the rest is fetched. The copies are hashed like everything else: files that are not what they should be cost
no more than being fetched.`

/** `strongroom pull owner/name@ref`. */
export function addPull(program: Command, shell: Shell): void {
  const command = program
    .command('pull')
    .description('download the files of a version, checking every byte')
    .argument('<owner/name@ref>')
    .option('-o, --output <dir>', 'folder to write to; it is made (.)')
    .option('--path <path>', 'only this file of the version')
    .option('--sha256 <hex>', 'the hash that the one file must have')
    .option(
      '--base <ref>',
      'version whose files are here: a ref of the same checkpoint, or owner/name@ref',
    )
    .addOption(new Option('--base-dir <dir>', 'where they are (the folder to write to)'))
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (target: string, options: PullOptions) => {
    const wanted = parseVersionRef(target)
    const files = filesWanted(wanted, options)
    const connection = connect(options, shell)
    const version = await describeRef(connection, wanted)
    await pullFiles(connection, wanted, version, files, shell)
  })
}

/** @throws {UsageError} */
function filesWanted(target: VersionRef, options: PullOptions): FilesWanted {
  const { path, sha256, base, output: folder = '.', baseDir = folder } = options
  if (options.baseDir !== undefined && base === undefined)
    throw new UsageError('--base-dir is for --base.')
  return {
    path,
    sha256: sha256 === undefined ? undefined : usage('--sha256', () => parseSha256(sha256)),
    folder,
    base: base === undefined ? undefined : { version: parseRefOf(target, base), folder: baseDir },
    isJson: options.json === true,
  }
}
