import { type Command, Option } from 'commander'
import type { LedgerCopy } from '../../db/copy.ts'
import { type Config, readConfig } from '../config.ts'
import { jsonOption } from './client-options.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, counted, printable } from './words.ts'

export interface CopyOptions {
  readonly ledger?: string
  readonly json?: boolean
}

/** What `backup` and `restore` take: they work on the ledger's folder itself, without a server. */
export const addCopyOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--ledger <folder>', 'folder of the ledger (STRONGROOM_LEDGER, ./data/ledger)'),
    )
    .addOption(jsonOption())

/** The server's own settings, so that a command beside it finds what it finds. @throws {ConfigError} */
export const configFor = ({ ledger }: CopyOptions, { env }: Shell): Config =>
  readConfig(env, ledger === undefined ? {} : { LEDGER: ledger }).config

export function tellCopy(
  { json }: CopyOptions,
  shell: Shell,
  file: string,
  { sizeBytes, versions, head }: LedgerCopy,
): void {
  if (json === true) {
    const told = { seq: head.seq, hash: head.hash, mac: head.mac ?? null }
    shell.say(JSON.stringify({ file, size: sizeBytes, versions, head: told }, null, 2))
    return
  }
  shell.say(printable(`${file}: ${counted(versions, 'version')}, ${bytesInWords(sizeBytes)}`))
  shell.say(`  audit head ${head.seq} ${head.hash}`)
}
