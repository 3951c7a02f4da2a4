import type { Command } from 'commander'
import { auditPage, auditVerdict } from '../client/answers.ts'
import { askJson } from '../client/connection.ts'
import { addClientOptions, type ClientOptions, connect, parseCount } from './client-options.ts'
import type { Shell } from './shell.ts'
import { counted, headed, printable } from './words.ts'

interface ListOptions extends ClientOptions {
  readonly after?: string
  readonly limit?: string
  readonly action?: string
  readonly subject?: string
}

/** `strongroom audit` and `strongroom audit verify`. */
export function addAudit(program: Command, shell: Shell): void {
  const group = program
    .command('audit')
    .description('read the audit log, newest last')
    .option('--after <seq>', 'only entries after this sequence number')
    .option('--limit <count>', 'at most so many (100; the server gives up to 1000)')
    .option('--action <action>', 'only these, such as publish')
    .option('--subject <subject>', 'only of this, such as owner/name@version')
  addClientOptions(group).action(async (options: ListOptions) => {
    await listEntries(options, shell)
  })
  const verify = group.command('verify').description('have the chain of entries recomputed')
  addClientOptions(verify).action(async (_own: ClientOptions, command: Command) => {
    // `audit` takes the same options, and commander gives them to whichever command it meets first.
    await verifyLog(command.optsWithGlobals<ClientOptions>(), shell)
  })
}

async function listEntries(options: ListOptions, shell: Shell): Promise<void> {
  const query = new URLSearchParams()
  const after = parseCount('--after', options.after)
  const limit = parseCount('--limit', options.limit)
  if (after !== undefined) query.set('after', String(after))
  if (limit !== undefined) query.set('limit', String(limit))
  if (options.action !== undefined) query.set('action', options.action)
  if (options.subject !== undefined) query.set('subject', options.subject)
  const ask = { method: 'GET', path: `/v1/audit?${query.toString()}` } as const
  const { document, raw } = await askJson(connect(options, shell), ask, auditPage)
  if (options.json === true) {
    shell.say(JSON.stringify(raw, null, 2))
    return
  }
  const rows = document.items.map((entry) => [
    String(entry.seq),
    entry.at,
    entry.action,
    entry.outcome,
    entry.subject ?? '-',
    entry.who?.name ?? '-',
    entry.address ?? '-',
    Object.keys(entry.details).length === 0 ? '' : JSON.stringify(entry.details),
  ])
  if (rows.length > 0) {
    shell.say(
      headed(['seq', 'at', 'action', 'outcome', 'subject', 'who', 'address', 'details'], rows),
    )
  }
  if (document.next !== null) shell.note(`more follow: --after ${document.next}`)
}

async function verifyLog(options: ClientOptions, shell: Shell): Promise<void> {
  const ask = { method: 'GET', path: '/v1/audit/verify', isPatient: true } as const
  const { document, raw } = await askJson(connect(options, shell), ask, auditVerdict)
  const { valid, entries, head, broken } = document
  shell.end(valid ? 0 : 1)
  if (options.json === true) {
    shell.say(JSON.stringify(raw, null, 2))
    return
  }
  const mac = head.mac === null ? 'no key is configured' : `mac ${head.mac}`
  const state = valid
    ? 'valid'
    : `NOT VALID from entry ${broken?.seq ?? 0} on: ${broken?.why ?? ''}`
  shell.say(printable(`audit log: ${state}`))
  shell.say(
    printable(
      `  ${counted(entries, 'entry').replace(/entrys$/, 'entries')}, head ${head.seq} ${head.hash}, ${mac}`,
    ),
  )
}
