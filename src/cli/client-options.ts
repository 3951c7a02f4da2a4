import { type Command, Option } from 'commander'
import { type Connection, connectTo } from '../client/connection.ts'
import type { VersionRef } from '../client/registry.ts'
import { RegistryError } from '../errors.ts'
import { type CheckpointName, parseCheckpointName, parseVersionName } from '../registry/names.ts'
import { type Shell, UsageError } from './shell.ts'

export interface ClientOptions {
  readonly url?: string
  readonly token?: string
  readonly json?: boolean
}

const DEFAULT_URL = 'http://127.0.0.1:8003'

export const jsonOption = (): Option =>
  new Option('--json', 'one JSON document on standard output, errors as JSON too')

/** For an option that may be repeated. */
export const collected = (value: string, before: readonly string[]): readonly string[] => [
  ...before,
  value,
]

/** What every command takes that talks to a registry. */
export function addClientOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--url <url>', `address of the registry (STRONGROOM_URL, ${DEFAULT_URL})`),
    )
    .addOption(
      new Option(
        '--token <token>',
        'token to present (STRONGROOM_TOKEN, which other users of the machine do not see)',
      ),
    )
    .addOption(jsonOption())
}

/** @throws {UsageError} */
export function connect({ url, token }: ClientOptions, { env }: Shell): Connection {
  const problems: string[] = []
  const address = url ?? nonEmpty(env['STRONGROOM_URL']) ?? DEFAULT_URL
  const base = /^https?:\/\//i.test(address) && URL.canParse(address) ? new URL(address) : undefined
  if (base === undefined) problems.push('The URL of a registry begins with http:// or https://.')
  else if (base.username !== '' || base.password !== '' || base.search !== '' || base.hash !== '') {
    problems.push('The URL of a registry holds no user name, password, query or fragment.')
  }
  const bearer = token ?? nonEmpty(env['STRONGROOM_TOKEN'])
  if (bearer !== undefined && !/^[\w.~+/-]+=*$/.test(bearer)) {
    problems.push('A token has no spaces and no characters but letters, digits and - . _ ~ + / =.')
  }
  if (base === undefined || problems.length > 0) throw new UsageError(...problems)
  return connectTo(base, bearer)
}

const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

/** `owner/name`. @throws {UsageError} */
export function parseCheckpoint(text: string): CheckpointName {
  const [owner = '', name = '', ...rest] = text.split('/')
  if (name === '' || rest.length > 0)
    throw new UsageError(`${text}: a checkpoint is named owner/name.`)
  return usage(text, () => parseCheckpointName(owner, name))
}

/** `owner/name@ref`, where the ref is a revision, a version, a tag or the beginning of a revision. @throws {UsageError} */
export function parseVersionRef(text: string): VersionRef {
  const { checkpoint, ref } = splitRef(text)
  if (!isRef(ref)) {
    throw new UsageError(`${text}: behind the @ stands a version, a tag or a revision.`)
  }
  return { ...parseCheckpoint(checkpoint), ref }
}

const isRef = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/.test(text)

/** `ref`, of this checkpoint, or `owner/name@ref`. @throws {UsageError} */
export function parseRefOf({ owner, name }: CheckpointName, text: string): VersionRef {
  if (text.includes('@')) return parseVersionRef(text)
  if (!isRef(text)) throw new UsageError(`${text}: must be a version, a tag or a revision.`)
  return { owner, name, ref: text }
}

/** `owner/name@version`, a name that a new version can have. @throws {UsageError} */
export function parseNewVersion(text: string): VersionRef {
  const { checkpoint, ref } = splitRef(text)
  return { ...parseCheckpoint(checkpoint), ref: usage(text, () => parseVersionName(ref)) }
}

function splitRef(text: string): { readonly checkpoint: string; readonly ref: string } {
  const at = text.indexOf('@')
  if (at === -1) throw new UsageError(`${text}: a version is named owner/name@version.`)
  return { checkpoint: text.slice(0, at), ref: text.slice(at + 1) }
}

/** A name that the caller gave and that can't be one is wrong use. */
export function usage<T>(given: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof RegistryError) throw new UsageError(`${given}: ${error.message}`)
    throw error
  }
}

/** A whole number, for an option. @throws {UsageError} */
export function parseCount(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${flag} wants a whole number.`)
  return Number(text)
}
