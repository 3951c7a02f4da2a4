import type { Command } from 'commander'
import { join } from 'node:path'
import { type Description, description } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { UntrustedError } from '../client/failures.ts'
import { targetBelow } from '../client/part-file.ts'
import { pullFile, type WantedFile } from '../client/pull-file.ts'
import { pathOfVersion, sourceOf, type VersionRef } from '../client/registry.ts'
import { RegistryError } from '../errors.ts'
import { parseSha256, type Sha256 } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseVersionRef,
  usage,
} from './client-options.ts'
import { createBar } from './progress.ts'
import { type Shell, UsageError } from './shell.ts'
import { bytesInWords, printable } from './words.ts'

interface PullOptions extends ClientOptions {
  readonly output: string
  readonly sha256?: string
  readonly path?: string
}

const HELP = `
Every byte is hashed again on arrival. A file appears under its name when all of it is there and proven; until then
it is .NAME.….strongroom-part beside it, from which the next pull goes on. A file that is already there is left
alone; one with other content is replaced. With a full revision as REF the server needn't be trusted at all.`

/** `strongroom pull owner/name@ref`. */
export function addPull(program: Command, shell: Shell): void {
  const command = program
    .command('pull')
    .description('download the files of a version, checking every byte')
    .argument('<owner/name@ref>')
    .option('-o, --output <dir>', 'folder to write to; it is made', '.')
    .option('--path <path>', 'only this file of the version')
    .option('--sha256 <hex>', 'the hash that the one file must have')
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (target: string, options: PullOptions) => {
    const wanted = parseVersionRef(target)
    const expected = options.sha256
    const sha256 =
      expected === undefined ? undefined : usage('--sha256', () => parseSha256(expected))
    const connection = connect(options, shell)
    const ask = { method: 'GET', path: pathOfVersion(wanted) } as const
    const version = (await askJson(connection, ask, description)).document
    checkAnswered(wanted, version)
    const files = select(version, options.path, sha256)
    const source = sourceOf(connection, { ...wanted, ref: version.revision })
    const pulled = []
    for (const file of files) {
      const local = await targetBelow(options.output, file.path)
      const bar = createBar(shell, file.path, file.size)
      const outcome = await pullFile(source, file, local, bar.at).finally(bar.end)
      pulled.push({ path: file.path, local, size: file.size, sha256: file.sha256, outcome })
      if (options.json !== true) shell.say(sentenceOf(local, file, outcome))
    }
    if (options.json === true) {
      const { checkpoint, version: name, revision } = version
      shell.say(JSON.stringify({ checkpoint, version: name, revision, files: pulled }, null, 2))
    }
  })
}

/** The revision covers what the description says; only the caller knows which one was meant. */
function checkAnswered({ owner, name, ref }: VersionRef, version: Description): void {
  const isRevision = /^[0-9a-f]{64}$/i.test(ref)
  const isMeant =
    version.checkpoint.toLowerCase() === `${owner}/${name}`.toLowerCase() &&
    (!isRevision || version.revision === ref.toLowerCase())
  if (!isMeant)
    throw new UntrustedError('The server describes another version than the one asked for.')
}

function select(
  { files }: Description,
  path: string | undefined,
  sha256: Sha256 | undefined,
): readonly WantedFile[] {
  const wanted = path === undefined ? files : files.filter((file) => file.path === path)
  const [first, ...others] = wanted
  if (first === undefined) {
    throw new RegistryError('NOT_FOUND', 'There is no such file in this version.', { what: 'file' })
  }
  if (sha256 === undefined) return wanted
  if (others.length > 0)
    throw new UsageError('The version has several files: --sha256 needs --path.')
  if (first.sha256 !== sha256) {
    throw new RegistryError('DIGEST_MISMATCH', 'The file is not the one expected.', {
      expected: sha256,
      actual: first.sha256,
    })
  }
  return wanted
}

function sentenceOf(
  local: string,
  { size, sha256 }: WantedFile,
  outcome: 'present' | 'downloaded',
): string {
  const became = outcome === 'present' ? 'was already there' : 'downloaded'
  return `${printable(join(local))}  ${became}  ${bytesInWords(size)}  sha256 ${sha256}`
}
