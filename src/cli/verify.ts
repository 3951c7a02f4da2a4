import type { Command } from 'commander'
import { verdict } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { pathOfVersion } from '../client/registry.ts'
import { addClientOptions, type ClientOptions, connect, parseVersionRef } from './client-options.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, table } from './words.ts'

/** `strongroom verify owner/name@ref`. */
export function addVerify(program: Command, shell: Shell): void {
  const command = program
    .command('verify')
    .description('have the registry hash every stored byte of a version again')
    .argument('<owner/name@ref>')
  addClientOptions(command).action(async (target: string, options: ClientOptions) => {
    const path = `${pathOfVersion(parseVersionRef(target))}/verify`
    const ask = { method: 'POST', path, isPatient: true } as const
    const { document, raw } = await askJson(connect(options, shell), ask, verdict)
    shell.end(document.valid ? 0 : 1)
    if (options.json === true) {
      shell.say(JSON.stringify(raw, null, 2))
      return
    }
    const rows = document.files.map(({ path, valid, size, sha256, chunk }) => [
      valid ? 'valid' : 'NOT VALID',
      path,
      bytesInWords(size),
      `sha256 ${sha256}`,
      chunk === undefined ? '' : `chunk ${chunk}`,
    ])
    shell.say(table(rows))
  })
}
