import type { Command } from 'commander'
import { stat } from 'node:fs/promises'
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
import { verifyFolder } from './verify-folder.ts'
import { bytesInWords, counted, table, tableInParts } from './words.ts'

interface VerifyOptions extends ClientOptions {
  readonly all?: boolean
  readonly checkpointDir?: string
}

type Verdict = ReturnType<typeof verdict>

/** `strongroom verify owner/name@ref`, `strongroom verify --all`, and, of files here, `strongroom verify DIR`. */
export function addVerify(program: Command, shell: Shell): void {
  const command = program
    .command('verify')
    .description('have the registry hash every stored byte of a version again; or check files here')
    .argument('[owner/name@ref|dir]', 'a version, or a folder or file of this machine')
    .option('--all', 'every available version within the token’s scope, one after the other')
    .option('--checkpoint-dir <dir>', 'the same as DIR')
  addClientOptions(command).action(async (target: string | undefined, options: VerifyOptions) => {
    const { all = false, checkpointDir, json: isJson = false } = options
    const asked = [target, checkpointDir, all ? 'all' : undefined]
    if (asked.filter((one) => one !== undefined).length !== 1)
      throw new UsageError('Give owner/name@ref or --all, or a folder of this machine.')
    const folder = checkpointDir ?? (await localOf(target))
    if (folder !== undefined) {
      await verifyFolder(folder, shell, isJson)
      return
    }
    if (target === undefined) await verifyAll(connect(options, shell), shell, isJson)
    else await verifyOne(parseVersionRef(target), connect(options, shell), shell, isJson)
  })
}

/** A file or folder that there is; what has an @ is a version's name. */
async function localOf(target: string | undefined): Promise<string | undefined> {
  if (target === undefined || target.includes('@')) return undefined
  return stat(target).then(
    () => target,
    () => undefined,
  )
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
