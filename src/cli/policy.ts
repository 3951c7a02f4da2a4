import type { Command } from 'commander'
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { askJson, jsonBody } from '../client/connection.ts'
import { onDisk } from '../client/disk.ts'
import { pathOfCheckpoint } from '../client/registry.ts'
import { record } from '../client/shapes.ts'
import { parseOwner } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseCheckpoint,
  usage,
} from './client-options.ts'
import { type Shell, UsageError } from './shell.ts'

interface PolicyOptions extends ClientOptions {
  readonly set?: string
  readonly own?: boolean
}

const HELP = `
A policy is a JSON object; the checkpoint's wins over its owner's, key by key:

  require_metadata   [keys] that a version's metadata must have
  expect_metadata    {key: value or [values]}; "$version" stands for the version's name
  same_tensors_as    ref whose names, dtypes and shapes a version must have
  finite             true: no NaN and no infinity in any tensor
  max_size           bytes of all files of a version
  sidecars           true: config.json, tokenizer files and README.md are taken too
  protected_tags     [patterns] of tags that only an admin moves

--set replaces the whole policy of that level; {} takes it away.`

/** `strongroom policy owner/name|owner`. */
export function addPolicy(program: Command, shell: Shell): void {
  const command = program
    .command('policy')
    .description('show the policy in force for a checkpoint or an owner, or set it (admin)')
    .argument('<owner[/name]>')
    .option('--set <file>', 'replace it by the JSON in this file; - is standard input')
    .option('--own', 'show only what is set at this level')
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (target: string, options: PolicyOptions) => {
    const path = pathOfPolicy(target)
    const { set, own } = options
    if (set !== undefined && own === true) throw new UsageError('--own shows, --set replaces.')
    const ask =
      set === undefined
        ? ({ method: 'GET', path: own === true ? `${path}?own=1` : path } as const)
        : ({ method: 'PUT', path, body: jsonBody(await rulesIn(set)) } as const)
    const { raw } = await askJson(connect(options, shell), ask, record)
    shell.say(JSON.stringify(raw, null, 2))
  })
}

function pathOfPolicy(target: string): string {
  if (target.includes('/')) return `${pathOfCheckpoint(parseCheckpoint(target))}/policy`
  const owner = usage(target, () => parseOwner(target))
  return `/v1/owners/${encodeURIComponent(owner)}/policy`
}

/** @throws {UsageError}, {LocalError} */
async function rulesIn(file: string): Promise<unknown> {
  const json =
    file === '-' ? await text(process.stdin) : await onDisk(file, () => readFile(file, 'utf8'))
  try {
    return JSON.parse(json)
  } catch {
    throw new UsageError(`${file}: it is not JSON.`)
  }
}
