import type { Command } from 'commander'
import { checkpoint as checkpointOf, checkpointPage, verdict } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { allOf } from '../client/pages.ts'
import { pathOfCheckpoint, type VersionRef } from '../client/registry.ts'
import { verification, whenFree } from '../client/verification.ts'
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

async function verifyOne(
  version: VersionRef,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const { document, raw } = await askJson(connection, verification(version), verdict)
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
    const found = await whenFree(() => askJson(connection, verification(pinned), verdict))
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
