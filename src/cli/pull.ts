import type { Command } from 'commander'
import type { Description } from '../client/answers.ts'
import type { Connection } from '../client/connection.ts'
import type { VersionRef } from '../client/registry.ts'
import { type FilePath, parseFilePath, parseSha256 } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  collected,
  connect,
  parseRefOf,
  parseVersionRef,
  usage,
} from './client-options.ts'
import { describeRef } from './described.ts'
import { type FilesWanted, pullFiles } from './pull-files.ts'
import { pullSelection, pullTensor } from './pull-parts.ts'
import { type Shell, UsageError } from './shell.ts'

interface PullOptions extends ClientOptions {
  readonly output?: string
  readonly sha256?: string
  readonly path?: string
  readonly base?: string
  readonly baseDir?: string
  readonly tensor?: string
  readonly slice?: string
  readonly select: readonly string[]
}

const HELP = `
Every byte is hashed again on arrival. A file appears under its name when all of it is there and proven; until then
it is .NAME.….strongroom-part beside it, from which the next pull goes on. A file that is already there is left
alone; one with other content is replaced. With a full revision as REF the server needn't be trusted at all.

With --base, tensors and chunks that are the same in a version whose files are here already are copied from them, and
only the rest is fetched. The copies are hashed like everything else: files that are not what they should be cost
no more than being fetched.

--tensor writes one tensor's bytes as they are, little-endian; --slice takes a part of it, as Python's basic
slicing does: 0:10,:,3. --select writes a safetensors file of the tensors named, or of all that begin with what
stands before a *. Here -o is a file or a folder, and - is standard output. Tensors are compared with the SHA-256
that the registry lists. That list is its own word, and of a slice there is none: only whole files follow from a
revision.`

/** `strongroom pull owner/name@ref`. */
export function addPull(program: Command, shell: Shell): void {
  const command = program
    .command('pull')
    .description('download the files of a version, or some of its tensors, checking every byte')
    .argument('<owner/name@ref>')
    .option('-o, --output <dir>', 'folder to write to; it is made (.)')
    .option('--path <path>', 'only this file of the version')
    .option('--sha256 <hex>', 'the hash that the one file must have')
    .option(
      '--base <ref>',
      'version whose files are here: a ref of the same checkpoint, or owner/name@ref',
    )
    .option('--base-dir <dir>', 'where they are (the folder to write to)')
    .option('--tensor <name>', 'only this tensor’s bytes')
    .option('--slice <slice>', 'only this part of the tensor')
    .option(
      '--select <name>',
      'only this tensor, or those that begin so: prefix*; may be repeated',
      collected,
      [],
    )
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (text: string, options: PullOptions) => {
    const target = parseVersionRef(text)
    const run = parse(target, options)
    const connection = connect(options, shell)
    await run(connection, target, await describeRef(connection, target), shell)
  })
}

type Run = (
  connection: Connection,
  target: VersionRef,
  version: Description,
  shell: Shell,
) => Promise<void>

/** @throws {UsageError} */
function parse(target: VersionRef, options: PullOptions): Run {
  const { path: givenPath, tensor, slice, select, output: to = '.', json: isJson = false } = options
  const path = givenPath === undefined ? undefined : usage('--path', () => parseFilePath(givenPath))
  if (tensor === undefined && slice !== undefined) throw new UsageError('--slice is for --tensor.')
  if (tensor === undefined && select.length === 0) {
    const wanted = filesWanted(target, path, options)
    return (connection, asked, version, shell) =>
      pullFiles(connection, asked, version, wanted, shell)
  }
  checkPart(options)
  const output = { to, isJson }
  if (tensor !== undefined) {
    const wanted = { name: tensor, slice, path }
    return (connection, asked, version, shell) =>
      pullTensor(connection, asked, version, wanted, output, shell)
  }
  const wanted = { patterns: select, path }
  return (connection, asked, version, shell) =>
    pullSelection(connection, asked, version, wanted, output, shell)
}

/** Options of whole files, or of two kinds of parts at once. */
function checkPart(options: PullOptions): void {
  const { tensor, select, output, json, sha256, base, baseDir } = options
  if (tensor !== undefined && select.length > 0)
    throw new UsageError('--tensor and --select exclude each other.')
  if (sha256 !== undefined || base !== undefined || baseDir !== undefined)
    throw new UsageError('--sha256, --base and --base-dir are for whole files.')
  if (output === '-' && json === true)
    throw new UsageError('Standard output can’t hold both the bytes and a document.')
}

function filesWanted(
  target: VersionRef,
  path: FilePath | undefined,
  options: PullOptions,
): FilesWanted {
  const { sha256, base, output: folder = '.', baseDir = folder } = options
  if (options.baseDir !== undefined && base === undefined)
    throw new UsageError('--base-dir is for --base.')
  if (folder === '-') throw new UsageError('Only a tensor or a selection goes to standard output.')
  return {
    path,
    sha256: sha256 === undefined ? undefined : usage('--sha256', () => parseSha256(sha256)),
    folder,
    base: base === undefined ? undefined : { version: parseRefOf(target, base), folder: baseDir },
    isJson: options.json === true,
  }
}
