import { type Command, Option } from 'commander'
import type { Role } from '../../db/ledger.ts'
import { newToken, tokenList } from '../client/answers.ts'
import { askJson, jsonBody } from '../client/connection.ts'
import { parseScope } from '../registry/names.ts'
import { addClientOptions, type ClientOptions, connect, usage } from './client-options.ts'
import { type Shell, UsageError } from './shell.ts'
import { headed, printable } from './words.ts'

interface CreateOptions extends ClientOptions {
  readonly name: string
  readonly role: Role
  readonly scope: string
  readonly expiresIn?: string
}

const ROLES: readonly Role[] = ['reader', 'writer', 'detector', 'auditor', 'admin']

const SECOND_MS = 1000
const UNIT_MS: Readonly<Record<string, number>> = {
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  h: 3600 * SECOND_MS,
  d: 86_400 * SECOND_MS,
  w: 7 * 86_400 * SECOND_MS,
}
/** Years that dates of JavaScript and RFC 3339 both have. */
const MAX_LIFE_MS = 1000 * 365 * 86_400 * SECOND_MS

/** `strongroom token create|list|revoke`. */
export function addToken(program: Command, shell: Shell): void {
  const group = program.command('token').description('make, list and revoke tokens')
  addCreate(group, shell)
  addList(group, shell)
  addRevoke(group, shell)
}

function addCreate(group: Command, shell: Shell): void {
  const command = group
    .command('create')
    .description('make a token; standard output has the token alone, this once')
    .requiredOption('--name <name>', 'what it is for')
    .addOption(new Option('--role <role>', 'what it may do').choices(ROLES).makeOptionMandatory())
    .option('--scope <scope>', 'what it reaches: *, owner/*, owner/name or owner/prefix*', '*')
    .option('--expires-in <time>', 'such as 12h, 90d or 52w; without it, never')
  addClientOptions(command).action(async (options: CreateOptions) => {
    const { name, role, scope: given, expiresIn } = options
    const scope = usage('--scope', () => parseScope(given))
    const expiry =
      expiresIn === undefined
        ? {}
        : { expires_at: new Date(Date.now() + parseDuration(expiresIn)).toISOString() }
    const body = jsonBody({ name, role, scope, ...expiry })
    const ask = { method: 'POST', path: '/v1/tokens', body } as const
    const { document, raw } = await askJson(connect(options, shell), ask, newToken)
    if (options.json === true) {
      shell.say(JSON.stringify(raw, null, 2))
      return
    }
    const until = document.expires_at === null ? 'without end' : `until ${document.expires_at}`
    shell.note(
      printable(
        `${document.name}: ${document.role} of ${document.scope} ${until}, id ${document.id}; shown this once:`,
      ),
    )
    shell.say(printable(document.token))
  })
}

/** `90d` → milliseconds. @throws {UsageError} */
export function parseDuration(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([smhdw])$/.exec(text) ?? []
  const ms = Number(digits) * (UNIT_MS[unit] ?? NaN)
  if (digits === '' || !(ms > 0 && ms <= MAX_LIFE_MS)) {
    throw new UsageError('--expires-in wants a number and s, m, h, d or w, such as 90d.')
  }
  return ms
}

function addList(group: Command, shell: Shell): void {
  const command = group.command('list').description('list tokens, without their secrets')
  addClientOptions(command).action(async (options: ClientOptions) => {
    const ask = { method: 'GET', path: '/v1/tokens' } as const
    const { document, raw } = await askJson(connect(options, shell), ask, tokenList)
    if (options.json === true) {
      shell.say(JSON.stringify(raw, null, 2))
      return
    }
    const rows = document.items.map((token) => [
      token.id,
      token.name,
      token.role,
      token.scope,
      token.created_at,
      token.expires_at ?? '-',
      token.revoked_at ?? '-',
    ])
    shell.say(headed(['id', 'name', 'role', 'scope', 'created', 'expires', 'revoked'], rows))
  })
}

function addRevoke(group: Command, shell: Shell): void {
  const command = group
    .command('revoke')
    .description('revoke a token, at once and for good')
    .argument('<id>', 'as `token list` shows it')
  addClientOptions(command).action(async (id: string, options: ClientOptions) => {
    const path = `/v1/tokens/${encodeURIComponent(id)}`
    await connect(options, shell).send({ method: 'DELETE', path })
    shell.say(
      options.json === true ? JSON.stringify({ id, revoked: true }) : `${printable(id)} revoked`,
    )
  })
}
