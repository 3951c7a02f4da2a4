import type { Command } from 'commander'
import { setTimeout as pause } from 'node:timers/promises'
import { checkpoint as checkpointOf, checkpointPage, verdict } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { RefusedError } from '../client/failures.ts'
import { allOf } from '../client/pages.ts'
import { pathOfCheckpoint, pathOfVersion, type VersionRef } from '../client/registry.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseCheckpoint,
  parseVersionRef,
} from './client-options.ts'
import { createJsonList } from './json-list.ts'
import { type Shell, UsageError } from './shell.ts'
import { bytesInWords, counted, table, tableInParts } from './words.ts'

interface VerifyOptions extends ClientOptions {
  readonly all?: boolean
}

type Verdict = ReturnType<typeof verdict>

/** `strongroom verify owner/name@ref` and `strongroom verify --all`. */
export function addVerify(program: Command, shell: Shell): void {
  const command = program
    .command('verify')
    .description('have the registry hash every stored byte of a version again')
    .argument('[owner/name@ref]')
    .option('--all', 'every available version within the token’s scope, one after the other')
  addClientOptions(command).action(async (target: string | undefined, options: VerifyOptions) => {
    if ((target === undefined) !== (options.all === true))
      throw new UsageError('Give owner/name@ref or --all.')
    const isJson = options.json === true
    if (target === undefined) await verifyAll(connect(options, shell), shell, isJson)
    else await verifyOne(parseVersionRef(target), connect(options, shell), shell, isJson)
  })
}

const askFor = (version: VersionRef) =>
  ({ method: 'POST', path: `${pathOfVersion(version)}/verify`, isPatient: true }) as const

async function verifyOne(
  version: VersionRef,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const { document, raw } = await askJson(connection, askFor(version), verdict)
  shell.end(document.valid ? 0 : 1)
  shell.say(isJson ? JSON.stringify(raw, null, 2) : table(rowsOf(document)))
}

async function verifyAll(connection: Connection, shell: Shell, isJson: boolean): Promise<void> {
  const list = isJson ? createJsonList(shell, {}, 'items') : undefined
  const inWords = tableInParts()
  let versions = 0
  let failing = 0
  for await (const { name, version, revision } of availableVersions(connection)) {
    const pinned = { ...parseCheckpoint(name), ref: revision }
    const found = await whenFree(() => askJson(connection, askFor(pinned), verdict))
    // Withdrawn since it was listed.
    if (found === undefined) continue
    versions += 1
    if (!found.document.valid) failing += 1
    list?.add({ checkpoint: name, version, revision, ...found.document })
    if (!isJson) shell.say(inWords(rowsOf(found.document, `${name}@${version}`)))
  }
  shell.end(failing === 0 ? 0 : 1)
  list?.end({ valid: failing === 0 })
  if (!isJson) shell.say(`${counted(versions, 'version')}, ${failing} not valid`)
}

const rowsOf = ({ files }: Verdict, ...of: readonly string[]): readonly (readonly string[])[] =>
  files.map(({ path, valid, size, sha256, chunk }) => [
    valid ? 'valid' : 'NOT VALID',
    ...of,
    path,
    bytesInWords(size),
    `sha256 ${sha256}`,
    chunk === undefined ? '' : `chunk ${chunk}`,
  ])

async function* availableVersions(connection: Connection) {
  for await (const { checkpoint: name } of allOf(
    connection,
    { path: '/v1/checkpoints' },
    checkpointPage,
  )) {
    const ask = { method: 'GET', path: pathOfCheckpoint(parseCheckpoint(name)) } as const
    const { versions } = (await askJson(connection, ask, checkpointOf)).document
    for (const { version, revision, state } of versions)
      if (state === 'available') yield { name, version, revision }
  }
}

const MOST_WAITS = 100
const MOST_PAUSE_SECONDS = 60

/** Waits while others have as much verified as the registry does at once; undefined for what is withdrawn. */
async function whenFree<T>(ask: () => Promise<T>): Promise<T | undefined> {
  for (let waits = 0; ; waits += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error
      if (error.code === 'WITHDRAWN') return undefined
      if (error.code !== 'TOO_MANY_REQUESTS' || waits === MOST_WAITS) throw error
      const seconds = Number(error.facts['retry_after'])
      await pause(1000 * Math.min(Math.max(0, seconds || 0), MOST_PAUSE_SECONDS))
    }
  }
}
