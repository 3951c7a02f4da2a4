import type { Command } from 'commander'
import { type Description, description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import {
  type HashedFile,
  hashFile,
  type LocalFile,
  publication,
  sizeOf,
} from '../client/push-files.ts'
import { record } from '../client/shapes.ts'
import { moveTag } from '../client/tags.ts'
import { DEFAULT_PATH, parseTagName, type TagName } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  collected,
  connect,
  parseNewVersion,
  usage,
} from './client-options.ts'
import { filesToPush } from './files-to-push.ts'
import { createBar } from './progress.ts'
import { type Shell, UsageError } from './shell.ts'
import { summaryOf } from './summary.ts'
import { printable } from './words.ts'

interface PushOptions extends ClientOptions {
  readonly meta: readonly string[]
  readonly tag: readonly string[]
  readonly path?: string
  readonly sidecars?: boolean
}

const HELP = `
FILE is a safetensors file, an index of shards (*.safetensors.index.json), or a folder, of which these two kinds
are taken with their relative paths. Files are published together or not at all. Other files than weights are
refused unless the policy of the checkpoint admits sidecars.

Each file is read twice: once for its SHA-256, then to send it. The registry is told the hash and keeps nothing
that has another one, so what is stored is what was read. The same push again changes nothing and succeeds.`

/** `strongroom push FILE… owner/name@version`. */
export function addPush(program: Command, shell: Shell): void {
  const command = program
    .command('push')
    .description('publish files as a new version')
    .usage('[options] <file...> <owner/name@version>')
    .argument('<file...>')
    .option('--meta <key=value>', 'metadata of the version; may be repeated', collected, [])
    .option('--tag <tag>', 'tag that names the version afterwards; may be repeated', collected, [])
    .option(
      '--path <path>',
      `path of the one FILE in the version (its own name, or ${DEFAULT_PATH})`,
    )
    .option('--sidecars', 'of a folder also config.json, tokenizer files, README.md and their like')
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (args: readonly string[], options: PushOptions) => {
    const version = parseNewVersion(args.at(-1) ?? '')
    if (args.length === 1) throw new UsageError('Give a file before owner/name@version.')
    const metadata = parseMetadata(options.meta)
    const tags = options.tag.map((tag) => usage('--tag', () => parseTagName(tag)))
    const connection = connect(options, shell)
    const files = await filesToPush(args.slice(0, -1), options, shell)
    const hashed = await hashAll(files, shell)
    const totalBytes = hashed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const bar = createBar(shell, 'sending', totalBytes)
    const ask = publication(version, hashed, metadata, bar.add)
    const published = await askJson(connection, ask, description).finally(bar.end)
    const moved: TagName[] = []
    try {
      for (const tag of tags) {
        await moveTag(connection, version, tag, published.document.revision, undefined)
        moved.push(tag)
      }
    } finally {
      // Published it is, whatever became of a tag.
      tell(published, moved, options.json === true, shell)
    }
  })
}

function tell(
  { status, document, raw }: { status: number; document: Description; raw: unknown },
  moved: readonly TagName[],
  isJson: boolean,
  shell: Shell,
): void {
  const tags = [...new Set([...document.tags, ...moved])]
  if (isJson) {
    shell.say(JSON.stringify({ ...record(raw, 'the answer'), tags }, null, 2))
    return
  }
  const became = status === 201 ? 'published' : 'was already published'
  shell.say(summaryOf({ ...document, tags }, became))
  for (const warning of document.warnings) shell.note(`warning: ${printable(warning)}`)
}

/** `k=v` pairs, each key once. @throws {UsageError} */
export function parseMetadata(pairs: readonly string[]): Readonly<Record<string, string>> {
  const metadata = Object.create(null) as Record<string, string>
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new UsageError(`--meta ${pair}: must be key=value.`)
    const key = pair.slice(0, at)
    if (key in metadata) throw new UsageError(`--meta ${key} is given twice.`)
    metadata[key] = pair.slice(at + 1)
  }
  return metadata
}

async function hashAll(files: readonly LocalFile[], shell: Shell): Promise<readonly HashedFile[]> {
  let totalBytes = 0
  for (const { local } of files) totalBytes += await sizeOf(local)
  const bar = createBar(shell, 'hashing', totalBytes)
  try {
    const hashed: HashedFile[] = []
    for (const file of files) hashed.push(await hashFile(file, bar.add))
    return hashed
  } finally {
    bar.end()
  }
}
