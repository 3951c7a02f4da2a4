import type { Command } from 'commander'
import { description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { pathOfVersion } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseVersionRef } from './client-options.ts'
import type { Shell } from './shell.ts'
import { showTensors } from './show-tensors.ts'
import { summaryOf } from './summary.ts'
import { printable } from './words.ts'

interface ShowOptions extends ClientOptions {
  readonly tensors?: boolean
  readonly prefix?: string
  readonly stats?: boolean
}

/** `strongroom show owner/name@ref`. */
export function addShow(program: Command, shell: Shell): void {
  const command = program
    .command('show')
    .description('describe a version, or list its tensors')
    .argument('<owner/name@ref>')
    .option('--tensors', 'list the tensors: name, dtype, shape, size and SHA-256')
    .option('--prefix <prefix>', 'only tensors whose names begin so')
    .option(
      '--stats',
      'list them with NaN, infinities, zeros, least, greatest, mean and norm of each',
    )
  addClientOptions(command).action(async (target: string, options: ShowOptions) => {
    const wanted = parseVersionRef(target)
    const { prefix = '', stats: withStats = false, json: isJson = false } = options
    if (options.tensors === true || prefix !== '' || withStats) {
      await showTensors(connect(options, shell), wanted, { prefix, withStats, isJson }, shell)
      return
    }
    const ask = { method: 'GET', path: pathOfVersion(wanted) } as const
    const { document, raw } = await askJson(connect(options, shell), ask, description)
    if (isJson) {
      shell.say(JSON.stringify(raw, null, 2))
      return
    }
    shell.say(summaryOf(document, `is ${document.state}`))
    for (const warning of document.warnings) shell.note(`warning: ${printable(warning)}`)
  })
}
