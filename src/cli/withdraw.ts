import type { Command } from 'commander'
import { description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { pathOfVersion } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseNewVersion } from './client-options.ts'
import type { Shell } from './shell.ts'
import { printable } from './words.ts'

interface WithdrawOptions extends ClientOptions {
  readonly reason: string
}

/** `strongroom withdraw owner/name@version --reason TEXT`. */
export function addWithdraw(program: Command, shell: Shell): void {
  const command = program
    .command('withdraw')
    .description('stop serving a version, for good: its name is never used again (admin)')
    .argument('<owner/name@version>', 'by the version’s own name, no tag and no revision')
    .requiredOption('--reason <text>', 'told to everyone who asks for it')
  addClientOptions(command).action(async (target: string, options: WithdrawOptions) => {
    const version = parseNewVersion(target)
    const query = new URLSearchParams({ reason: options.reason })
    const path = `${pathOfVersion(version)}?${query.toString()}`
    const ask = { method: 'DELETE', path } as const
    const { document, raw } = await askJson(connect(options, shell), ask, description)
    shell.say(
      options.json === true
        ? JSON.stringify(raw, null, 2)
        : printable(`${document.checkpoint}@${document.version} withdrawn: ${options.reason}`),
    )
  })
}
