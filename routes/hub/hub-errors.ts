import type { FastifyRequest } from 'fastify'
import type { RegistryError } from '../../src/errors.ts'
import { inOneSentence, type Problem } from '../problem.ts'
import { beginsWithOwner, isOwned } from './owned-address.ts'

/** What the Hub's clients raise as exceptions of their own; anything else they raise by its status. */
type HubCode = 'RepoNotFound' | 'RevisionNotFound' | 'EntryNotFound' | 'GatedRepo'

const OF_MISSING: Readonly<Record<string, HubCode>> = {
  checkpoint: 'RepoNotFound',
  version: 'RevisionNotFound',
  tag: 'RevisionNotFound',
  file: 'EntryNotFound',
}

/** The one message by which the clients tell a bad token from a repository that isn't there. */
const BAD_TOKEN = 'Invalid credentials in Authorization header'

/** Of a header, in characters. */
const MAX_MESSAGE = 1000

/** Whether the Hub's clients ask here: at a route of theirs, or at one that they would have on the Hub. */
export function isHubs({ routeOptions, raw }: FastifyRequest): boolean {
  const { url } = routeOptions
  if (url === undefined) return isAskedInVain(pathOf(raw.url))
  return url.startsWith('/api/') || url.startsWith('/cas/') || isOwned(url)
}

/** The same refusal as `{error}`, with the facts beside it, and the words by which the clients choose what to raise. */
export function asHubError(
  problem: Problem,
  error: RegistryError,
  request: FastifyRequest,
): Problem {
  const sentence = withPlainMarks(withReason(error))
  const code = hubCodeOf(error, request)
  const isBadToken = error.code === 'UNAUTHENTICATED' && error.facts['challenge'] !== 'none_sent'
  return {
    ...problem,
    headers: {
      ...problem.headers,
      'content-type': 'application/json; charset=utf-8',
      // The answer to a HEAD has nothing else that a person could read.
      'x-error-message': isBadToken ? BAD_TOKEN : asHeader(sentence),
      ...(code === undefined ? {} : { 'x-error-code': code }),
    },
    body: JSON.stringify({
      error: sentence,
      code: error.code,
      request_id: request.id,
      ...problem.facts,
    }),
  }
}

function hubCodeOf({ code, facts }: RegistryError, request: FastifyRequest): HubCode | undefined {
  const { url = '', config } = request.routeOptions
  if (code === 'WITHDRAWN') return 'RevisionNotFound'
  if (code === 'NOT_FOUND') {
    return facts['what'] === 'route'
      ? nowhereOf(pathOf(request.raw.url))
      : OF_MISSING[String(facts['what'])]
  }
  // Over plain HTTP the clients don't know that the Hub says so of what it hides.
  if (code === 'UNAUTHENTICATED' && facts['challenge'] === 'none_sent')
    return url.includes('/:owner/:name') ? 'RepoNotFound' : undefined
  if (code === 'FORBIDDEN' && (config.access === 'read' || config.access === 'describe'))
    return 'GatedRepo'
  return undefined
}

/** A repository named without its owner, or of a kind that isn't kept here. */
const LEGACY_API =
  /^\/api\/(?:(?:datasets|spaces)\/.|models\/[^/]+(?:\/(?:tree|revision|paths-info)\b|$))/
const OF_FILES = /^(?:\/[^/]+){1,3}\/(?:resolve|raw)\//

const nowhereOf = (path: string): HubCode | undefined =>
  LEGACY_API.test(path) || OF_FILES.test(path) ? 'RepoNotFound' : undefined

const isAskedInVain = (path: string): boolean =>
  path.startsWith('/api/') || (beginsWithOwner(path) && OF_FILES.test(path))

const pathOf = (url = ''): string => url.replace(/\?.*$/s, '')

function withReason(error: RegistryError): string {
  const { reason } = error.facts
  const sentence = inOneSentence(error)
  return error.code === 'WITHDRAWN' && typeof reason === 'string' && reason !== ''
    ? `${sentence} Reason: ${reason}`
    : sentence
}

/** The clients show a sentence once where header and body say it in the same characters. */
const withPlainMarks = (text: string): string =>
  text.replace(/[’‘]/g, "'").replace(/[“”]/g, '"').replaceAll('…', '...').replace(/[–—]/g, '-')

const asHeader = (text: string): string => text.slice(0, MAX_MESSAGE).replace(/[^ -~]/gu, '?')
