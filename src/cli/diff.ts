import type { Command } from 'commander'
import { type DiffPage, diffPage } from '../client/answers.ts'
import type { Connection } from '../client/connection.ts'
import { UntrustedError } from '../client/failures.ts'
import { pagesOf } from '../client/pages.ts'
import { pathOfCheckpoint, type VersionRef } from '../client/registry.ts'
import { asciiLowerCase } from '../registry/names.ts'
import {
  addClientOptions,
  type ClientOptions,
  connect,
  parseCheckpoint,
  parseRefOf,
  parseVersionRef,
} from './client-options.ts'
import { describeRef } from './described.ts'
import { createDiffDocument, createDiffTable } from './diff-output.ts'
import { type Shell, UsageError } from './shell.ts'

interface DiffOptions extends ClientOptions {
  readonly values?: boolean
  readonly exitCode?: boolean
}

const HELP = `
  diff acme/bert@1.0 1.1             also: diff acme/bert 1.0 1.1, diff acme/bert@1.0 acme/bert@1.1
  diff acme/bert@production latest --values

+ is only in the second, - only in the first, ~ is in both with other bytes. Tensors are compared by name and SHA-256.
--values has the registry read both: REL L2 is the norm of the change over the norm of what was, MAX ABS the largest
change of one element.`

/** `strongroom diff owner/name@from to`. */
export function addDiff(program: Command, shell: Shell): void {
  const command = program
    .command('diff')
    .description('compare the tensors of two versions')
    .argument('<owner/name[@from]>')
    .argument('<refs...>', 'the other version, or both')
    .usage('[options] <owner/name@from> <to>')
    .option('--values', 'how far the values of changed tensors are apart')
    .option('--exit-code', 'end with 1 where they differ')
    .addHelpText('after', HELP)
  addClientOptions(command).action(
    async (target: string, refs: readonly string[], options: DiffOptions) => {
      const [from, to] = parsePair(target, refs)
      const isEqual = await diff(connect(options, shell), from, to, options, shell)
      shell.end(options.exitCode === true && !isEqual ? 1 : 0)
    },
  )
}

/** @throws {UsageError} */
function parsePair(target: string, refs: readonly string[]): readonly [VersionRef, VersionRef] {
  const isWhole = target.includes('@')
  const [first = '', second = '', ...rest] = isWhole ? [target, ...refs] : refs
  if (second === '' || rest.length > 0) throw new UsageError('Give two versions.')
  const from = isWhole ? parseVersionRef(first) : parseRefOf(parseCheckpoint(target), first)
  const to = parseRefOf(from, second)
  const same = (part: 'owner' | 'name'): boolean =>
    asciiLowerCase(from[part]) === asciiLowerCase(to[part])
  if (!same('owner') || !same('name'))
    throw new UsageError('Both versions must be of one checkpoint.')
  return [from, to]
}

/** @returns whether all tensors are the same */
async function diff(
  connection: Connection,
  from: VersionRef,
  to: VersionRef,
  { values = false, json = false }: DiffOptions,
  shell: Shell,
): Promise<boolean> {
  const sides = { from: await describeRef(connection, from), to: await describeRef(connection, to) }
  const list = {
    path: `${pathOfCheckpoint(from)}/diff`,
    query: {
      from: sides.from.revision,
      to: sides.to.revision,
      ...(values ? { values: '1' } : {}),
    },
    isPatient: true,
  }
  const withPath = sides.from.files.length > 1 || sides.to.files.length > 1
  const columns = { withValues: values, withPath }
  const output = json ? createDiffDocument(shell) : createDiffTable(shell, columns)
  const most = sides.from.tensors + sides.to.tensors
  let differences = 0
  for await (const page of pagesOf(connection, list, diffPage)) {
    differences += page.added.length + page.removed.length + page.changed.length
    checkPage(page, sides, differences <= most)
    output.add(page)
  }
  output.end()
  return differences === 0
}

function checkPage(
  { from, to }: DiffPage,
  sides: {
    readonly from: { readonly revision: string }
    readonly to: { readonly revision: string }
  },
  isPossible: boolean,
): void {
  if (from.revision !== sides.from.revision || to.revision !== sides.to.revision)
    throw new UntrustedError('The server compares other versions than those asked for.')
  if (!isPossible) throw new UntrustedError('More tensors differ than there are.')
}
