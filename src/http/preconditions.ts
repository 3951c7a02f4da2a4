// Conditional requests, RFC 9110 §13. What can't be read never makes a condition hold that guards the caller.

import { parseHttpDate } from './http-date.ts'
import { trimOws } from './ows.ts'

/** What a file's current bytes are known by. */
export interface Validators {
  /** Strong, in its quotes. */
  readonly etag: string
  /** Undefined through a tag, which can move back in time: every dated condition is then ignored. */
  readonly lastModified: Date | undefined
}

/** The headers as they came; If-Modified-Since is for GET and HEAD only. */
export interface ConditionHeaders {
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  readonly ifModifiedSince?: string | undefined
  readonly ifUnmodifiedSince?: string | undefined
  /** For `rangeApplies`; it decides nothing else. */
  readonly ifRange?: string | undefined
}

export type Verdict = 'proceed' | 'not_modified' | 'precondition_failed'

/** One list member up to its comma or the end: quotes may hold commas, and empty members are legal (§5.6.1). */
const LIST_MEMBER = /[ \t]*(?:((?:W\/)?"[^"]*")[ \t]*)?(?:,|$)/y

/** The entity tags of a list, or none at all when any part of it isn't one (§8.8.3). */
function parseEntityTags(text: string): readonly string[] {
  const tags: string[] = []
  const member = new RegExp(LIST_MEMBER)
  while (member.lastIndex < text.length) {
    const match = member.exec(text)
    if (match === null) return []
    if (match[1] !== undefined) tags.push(match[1])
  }
  return tags
}

/** §13.1.1: strong comparison, so that a weak tag never matches. A header that can't be read matches nothing. */
function matches(ifMatch: string, etag: string): boolean {
  return trimOws(ifMatch) === '*' || parseEntityTags(ifMatch).includes(etag)
}

/** §13.1.2: weak comparison. */
function matchesWeakly(ifNoneMatch: string, etag: string): boolean {
  if (trimOws(ifNoneMatch) === '*') return true
  return parseEntityTags(ifNoneMatch).some((tag) => tag.replace(/^W\//, '') === etag)
}

/** Milliseconds, without the part of a second that an HTTP date can't say. */
function wholeSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000
}

/** Undefined when there is nothing to compare: no header, no valid date in it, or no date of our own. */
function isModifiedSince(
  header: string | undefined,
  { lastModified }: Validators,
): boolean | undefined {
  if (header === undefined || lastModified === undefined) return undefined
  const since = parseHttpDate(trimOws(header))
  return since === undefined ? undefined : wholeSeconds(lastModified) > since.getTime()
}

/** In the order of §13.2.2, for a GET or HEAD of something that exists. Never throws. */
export function evaluate(headers: ConditionHeaders, validators: Validators): Verdict {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = headers
  const stale =
    ifMatch === undefined
      ? isModifiedSince(ifUnmodifiedSince, validators) === true
      : !matches(ifMatch, validators.etag)
  if (stale) return 'precondition_failed'
  const fresh =
    ifNoneMatch === undefined
      ? isModifiedSince(ifModifiedSince, validators) === false
      : matchesWeakly(ifNoneMatch, validators.etag)
  return fresh ? 'not_modified' : 'proceed'
}

/**
 * Whether Range is to be honoured (§13.1.5): without If-Range, or when it names these very bytes by strong tag or
 * exact date. Otherwise the caller holds parts of something else and needs the whole.
 */
export function rangeApplies(ifRange: string | undefined, validators: Validators): boolean {
  if (ifRange === undefined) return true
  const validator = trimOws(ifRange)
  if (validator === validators.etag) return true
  const { lastModified } = validators
  if (lastModified === undefined) return false
  return parseHttpDate(validator)?.getTime() === wholeSeconds(lastModified)
}
