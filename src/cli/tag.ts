import type { Command } from 'commander'
import { checkpoint as checkpointOf, tagHistory } from '../client/answers.ts'
import { askJson, type Connection } from '../client/connection.ts'
import { allOf } from '../client/pages.ts'
import { pathOfCheckpoint, type VersionRef } from '../client/registry.ts'
import { type Expected, moveTag, pathOfTag } from '../client/tags.ts'
import { type CheckpointName, parseSha256, parseTagName, type TagName } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseCheckpoint,
  parseVersionRef,
  usage,
} from './client-options.ts'
import { createJsonList } from './json-list.ts'
import { type Shell, UsageError } from './shell.ts'
import { createRows, headed, printable } from './words.ts'

interface TagOptions extends ClientOptions {
  readonly expected?: string
  readonly new?: boolean
  readonly delete?: boolean
  readonly history?: boolean
}

const HELP = `
  tag acme/bert                         lists the tags and what they name
  tag acme/bert@1.1 production          makes production name 1.1: a rollout, or a rollback
  tag acme/bert production --history    says what it named, since when, and who moved it
  tag acme/bert production --delete

A tag is moved whatever it names now. With --expected it is moved only while it names that revision, with --new only
while it names nothing: of two who do so at once, one is refused.`

/** `strongroom tag owner/name[@ref] [tag]`. */
export function addTag(program: Command, shell: Shell): void {
  const command = program
    .command('tag')
    .description('list, move and delete tags, and read their history')
    .argument('<owner/name[@ref]>')
    .argument('[tag]')
    .option('--expected <revision>', 'only if the tag names this revision now')
    .option('--new', 'only if there is no such tag')
    .option('--delete', 'delete the tag; what it named stays')
    .option('--history', 'list what the tag named, newest first')
    .addHelpText('after', HELP)
  addClientOptions(command).action(
    async (target: string, tag: string | undefined, options: TagOptions) => {
      const run = parse(target, tag, options)
      await run(connect(options, shell), shell, options.json === true)
    },
  )
}

type Run = (connection: Connection, shell: Shell, isJson: boolean) => Promise<void>

/** @throws {UsageError} for what can't be meant */
function parse(target: string, text: string | undefined, options: TagOptions): Run {
  const expected = expectedOf(options)
  const isMove = target.includes('@')
  if (text === undefined) {
    if (isMove) throw new UsageError('Give the tag behind owner/name@ref.')
    if (expected !== undefined || options.delete === true || options.history === true)
      throw new UsageError('Give the tag behind owner/name.')
    const checkpoint = parseCheckpoint(target)
    return (...using) => listTags(checkpoint, ...using)
  }
  const tag = usage(text, () => parseTagName(text))
  if (options.delete === true && options.history === true)
    throw new UsageError('--delete and --history exclude each other.')
  if (options.history === true) {
    if (expected !== undefined) throw new UsageError('--history takes no --expected or --new.')
    const checkpoint = parseCheckpoint(target)
    return (...using) => listHistory(checkpoint, tag, ...using)
  }
  if (options.delete === true) {
    if (expected === null) throw new UsageError('--delete takes no --new.')
    const checkpoint = parseCheckpoint(target)
    return (...using) => deleteTag(checkpoint, tag, expected, ...using)
  }
  if (!isMove) throw new UsageError('Give owner/name@ref, or --history or --delete.')
  const version = parseVersionRef(target)
  return (...using) => move(version, tag, expected, ...using)
}

function expectedOf({ expected, new: isNew }: TagOptions): Expected {
  if (expected === undefined) return isNew === true ? null : undefined
  if (isNew === true) throw new UsageError('--expected and --new exclude each other.')
  return usage('--expected', () => parseSha256(expected))
}

async function listTags(
  name: CheckpointName,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const ask = { method: 'GET', path: pathOfCheckpoint(name) } as const
  const { checkpoint, tags, versions } = (await askJson(connection, ask, checkpointOf)).document
  const revisions = new Map(versions.map(({ version, revision }) => [version, revision]))
  const items = Object.entries(tags).map(([tag, version]) => ({
    tag,
    version,
    revision: revisions.get(version) ?? null,
  }))
  if (isJson) {
    shell.say(JSON.stringify({ checkpoint, items }, null, 2))
    return
  }
  const rows = items.map(({ tag, version, revision }) => [tag, version, short(revision)])
  if (rows.length > 0) shell.say(headed(['tag', 'version', 'revision'], rows))
}

async function move(
  version: VersionRef,
  tag: TagName,
  expected: Expected,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const { document, raw } = await moveTag(connection, version, tag, version.ref, expected)
  if (isJson) {
    shell.say(JSON.stringify(raw, null, 2))
    return
  }
  const { revision, previous } = document
  const before =
    previous === null
      ? 'a new tag'
      : previous === revision
        ? 'as before'
        : `before: revision ${short(previous)}`
  const now = `${document.version} (revision ${short(revision)})`
  shell.say(printable(`${document.tag} names ${now}; ${before}`))
}

async function deleteTag(
  checkpoint: CheckpointName,
  tag: TagName,
  expected: Expected,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const query = expected === undefined ? '' : `?expected=${String(expected)}`
  const path = `${pathOfTag(checkpoint, tag)}${query}`
  await connection.send({ method: 'DELETE', path })
  shell.say(isJson ? JSON.stringify({ tag, deleted: true }) : `${tag} deleted`)
}

async function listHistory(
  checkpoint: CheckpointName,
  tag: TagName,
  connection: Connection,
  shell: Shell,
  isJson: boolean,
): Promise<void> {
  const path = `${pathOfTag(checkpoint, tag)}/history`
  const events = allOf(connection, { path }, tagHistory)
  if (isJson) {
    const list = createJsonList(shell, { tag }, 'items')
    for await (const event of events) list.add(event)
    list.end()
    return
  }
  const rows = createRows(shell.say, [
    'seq',
    'at',
    'action',
    'version',
    'revision',
    'before',
    'who',
  ])
  for await (const { seq, at, action, version, revision, previous, who } of events) {
    const cells = [version ?? '-', short(revision), short(previous), who?.name ?? '-']
    rows.add([String(seq), at, action, ...cells])
  }
  rows.end()
}

const short = (revision: string | null): string => revision?.slice(0, 12) ?? '-'
