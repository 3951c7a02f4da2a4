import type { Command } from 'commander'
import { checkpoint, checkpointPage } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { allOf } from '../client/pages.ts'
import { pathOfCheckpoint } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseCheckpoint } from './client-options.ts'
import { createJsonList } from './json-list.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, createRows, headed } from './words.ts'

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
  const items = allOf(connection, { path: '/v1/checkpoints' }, checkpointPage)
  if (isJson) {
    const list = createJsonList(shell, {}, 'items')
    for await (const item of items) list.add(item)
    list.end()
    return
  }
  const rows = createRows(shell.say, ['checkpoint', 'versions', 'latest', 'created'])
  for await (const { checkpoint, versions, latest, created_at } of items) {
    rows.add([checkpoint, String(versions), latest ?? '-', created_at])
  }
  rows.end()
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
