import type { Command } from 'commander'
import { type Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Description, description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { localErrorOf } from '../client/local-failure.ts'
import {
  type HashedFile,
  hashFile,
  type LocalFile,
  publication,
  sizeOf,
} from '../client/push-files.ts'
import { record } from '../client/shapes.ts'
import { moveTag } from '../client/tags.ts'
import { DEFAULT_PATH, parseFilePath, parseTagName, type TagName } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  collected,
  connect,
  parseNewVersion,
  usage,
} from './client-options.ts'
import { createBar } from './progress.ts'
import { type Shell, UsageError } from './shell.ts'
import { summaryOf } from './summary.ts'
import { printable } from './words.ts'

interface PushOptions extends ClientOptions {
  readonly meta: readonly string[]
  readonly tag: readonly string[]
  readonly path?: string
}

const HELP = `
FILE is a safetensors file, an index of shards (*.safetensors.index.json), or a folder, of which these two kinds
are taken with their relative paths. Files are published together or not at all.

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
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (args: readonly string[], options: PushOptions) => {
    const version = parseNewVersion(args.at(-1) ?? '')
    if (args.length === 1) throw new UsageError('Give a file before owner/name@version.')
    const metadata = parseMetadata(options.meta)
    const tags = options.tag.map((tag) => usage('--tag', () => parseTagName(tag)))
    const connection = connect(options, shell)
    const files = await filesOf(args.slice(0, -1), options.path, shell)
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

const isPublishable = (name: string): boolean => /\.safetensors(\.index\.json)?$/.test(name)

async function filesOf(
  given: readonly string[],
  path: string | undefined,
  shell: Shell,
): Promise<readonly LocalFile[]> {
  const found: LocalFile[] = []
  for (const local of given) {
    if (await isFolder(local)) found.push(...(await filesBelow(local, shell)))
    else found.push({ local, path: parseFilePath(pathFor(local, given.length === 1)) })
  }
  const [first] = found
  if (first === undefined) throw new UsageError('There is no safetensors file there.')
  if (path !== undefined) {
    if (found.length > 1) throw new UsageError('--path is for one FILE.')
    return [{ local: first.local, path: usage('--path', () => parseFilePath(path)) }]
  }
  const paths = new Set<string>()
  for (const file of found) {
    if (paths.has(file.path)) throw new UsageError(`${file.path}: two files have this path.`)
    paths.add(file.path)
  }
  return found
}

/** A lone file of a name of its own is the model. */
function pathFor(local: string, isAlone: boolean): string {
  const name = basename(local)
  return isAlone && !isPublishable(name) ? DEFAULT_PATH : name
}

async function isFolder(local: string): Promise<boolean> {
  const found = await stat(local).catch((error: unknown) => {
    throw localErrorOf(local, error)
  })
  return found.isDirectory()
}

/** Links to files are followed, since caches of models are made of them; links to folders are not. */
async function filesBelow(folder: string, shell: Shell): Promise<readonly LocalFile[]> {
  const found: LocalFile[] = []
  const leftOut: string[] = []
  const walk = async (below: string): Promise<void> => {
    const entries: Dirent[] = await readdir(join(folder, below), { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) await walk(path)
      else if (isPublishable(entry.name)) {
        found.push({ local: join(folder, path), path: usage(path, () => parseFilePath(path)) })
      } else leftOut.push(path)
    }
  }
  await walk('')
  if (leftOut.length > 0)
    shell.note(`left out, no safetensors by name: ${leftOut.map(printable).join(', ')}`)
  return found
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
