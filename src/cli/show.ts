import type { Command } from 'commander'
import { description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { pathOfVersion } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseVersionRef } from './client-options.ts'
import type { Shell } from './shell.ts'
import { summaryOf } from './summary.ts'
import { printable } from './words.ts'

/** `strongroom show owner/name@ref`. */
export function addShow(program: Command, shell: Shell): void {
  const command = program
    .command('show')
    .description('describe a version')
    .argument('<owner/name@ref>')
  addClientOptions(command).action(async (target: string, options: ClientOptions) => {
    const path = pathOfVersion(parseVersionRef(target))
    const connection = connect(options, shell)
    const { document, raw } = await askJson(connection, { method: 'GET', path }, description)
    if (options.json === true) {
      shell.say(JSON.stringify(raw, null, 2))
      return
    }
    shell.say(summaryOf(document, `is ${document.state}`))
    for (const warning of document.warnings) shell.note(`warning: ${printable(warning)}`)
  })
}
