import type { Command } from 'commander'
import { checkpoint, checkpointPage } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { pathOfCheckpoint } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseCheckpoint } from './client-options.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, headed } from './words.ts'

const PAGE = 1000

/** `strongroom ls [owner/name]`. */
export function addLs(program: Command, shell: Shell): void {
  const command = program
    .command('ls')
    .description('list checkpoints, or the versions of one')
    .argument('[owner/name]')
  addClientOptions(command).action(async (name: string | undefined, options: ClientOptions) => {
    const connection = connect(options, shell)
    if (name === undefined) await listCheckpoints(connection, shell, options.json === true)
    else await listVersions(connection, shell, name, options)
  })
}

async function listCheckpoints(
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const items = []
  let cursor: string | null = null
  do {
    const query = new URLSearchParams({
      limit: String(PAGE),
      ...(cursor === null ? {} : { cursor }),
    })
    const ask = { method: 'GET', path: `/v1/checkpoints?${query.toString()}` } as const
    const page: ReturnType<typeof checkpointPage> = (await askJson(connection, ask, checkpointPage))
      .document
    items.push(...page.items)
    cursor = page.next
  } while (cursor !== null)
  if (isJson) shell.say(JSON.stringify({ items }, null, 2))
  else if (items.length > 0) {
    const rows = items.map((item) => [
      item.checkpoint,
      String(item.versions),
      item.latest ?? '-',
      item.created_at,
    ])
    shell.say(headed(['checkpoint', 'versions', 'latest', 'created'], rows))
  }
}

async function listVersions(
  connection: Connection,
  shell: Shell,
  name: string,
  options: ClientOptions,
): Promise<void> {
  const ask = { method: 'GET', path: pathOfCheckpoint(parseCheckpoint(name)) } as const
  const { document, raw } = await askJson(connection, ask, checkpoint)
  if (options.json === true) {
    shell.say(JSON.stringify(raw, null, 2))
    return
  }
  const tagsOf = (version: string): string =>
    Object.entries(document.tags)
      .flatMap(([tag, tagged]) => (tagged === version ? [tag] : []))
      .join(', ')
  const rows = document.versions.map((version) => [
    version.version,
    version.revision.slice(0, 12),
    bytesInWords(version.size),
    version.state,
    version.created_at,
    version.created_by,
    tagsOf(version.version),
  ])
  shell.say(headed(['version', 'revision', 'size', 'state', 'created', 'by', 'tags'], rows))
}
