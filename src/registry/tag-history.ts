import type { AuditEntry, Ledger } from '../../db/ledger.ts'
import type { CheckpointName, TagName } from './names.ts'
import { notFound } from './resolve.ts'

/** One move of a tag, as the API tells it. */
interface TagEvent {
  readonly seq: number
  readonly at: string
  readonly who: { readonly id: string; readonly name: string } | null
  readonly action: 'created' | 'moved' | 'deleted' | 'published' | 'withdrawn'
  /** What the tag named from then on; null for nothing. */
  readonly version: string | null
  readonly revision: string | null
  /** The revision that it named until then; null for none. */
  readonly previous: string | null
}

/**
 * What a tag named, when, and who moved it: from the audit log, newest first. A page of `latest` may hold fewer events
 * than `limit` and go on, where versions were withdrawn that it didn't name, or committed to a branch.
 *
 * @param before an exclusive start: `next` of the page before
 * @throws {RegistryError} NOT_FOUND for a tag that never was.
 */
export async function tagHistory(
  ledger: Ledger,
  { owner, name }: CheckpointName,
  tag: TagName,
  before: number | undefined,
  limit: number,
): Promise<{ readonly items: readonly TagEvent[]; readonly next: number | null }> {
  const entries = await ledger.tagHistory({ owner, name, tag, before, limit })
  if (entries === undefined) throw notFound('checkpoint')
  if (entries.length === 0 && before === undefined) throw notFound('tag')
  const last = entries.length === limit ? entries.at(-1) : undefined
  return { items: entries.flatMap(eventsOf), next: last?.seq ?? null }
}

function eventsOf(entry: AuditEntry): readonly TagEvent[] {
  const { seq, at, actorId, actorName = '', action, subject = '', revision = null } = entry
  const { details = {} } = entry
  const who = actorId === undefined ? null : { id: actorId, name: actorName }
  const text = (key: string): string | null => {
    const value = details[key]
    return typeof value === 'string' ? value : null
  }
  if (action === 'publish') {
    // A commit to a branch beside main leaves `latest` where it is.
    if (details['branch'] !== undefined) return []
    const version = subject.slice(subject.indexOf('@') + 1)
    const previous = text('previous')
    return [{ seq, at, who, action: 'published', version, revision, previous }]
  }
  if (action === 'withdraw') {
    if (details['was_latest'] !== true) return []
    const now = { version: text('latest_version'), revision: text('latest') }
    return [{ seq, at, who, action: 'withdrawn', ...now, previous: revision }]
  }
  const now = { version: text('version'), revision: text('to') }
  const previous = text('from')
  const isDropped = details['branch'] === 'dropped' || (previous !== null && now.revision === null)
  const how = isDropped ? 'deleted' : previous === null ? 'created' : 'moved'
  return [{ seq, at, who, action: how, ...now, previous }]
}
