import { STATUS_CODES } from 'node:http'
import { Type } from 'typebox'

const HubError = Type.Object(
  {
    error: Type.String(),
    code: Type.String({ description: 'The stable word to program against' }),
    request_id: Type.String(),
  },
  { additionalProperties: true, description: 'One sentence, and the facts of the code' },
)

const REFUSAL_HEADERS = {
  'X-Error-Code': {
    type: 'string',
    enum: ['RepoNotFound', 'RevisionNotFound', 'EntryNotFound', 'GatedRepo'],
    description: 'Where the clients have an exception of their own for it',
  },
  'X-Error-Message': { type: 'string', description: 'The sentence, in ASCII' },
}

/** Response schemas of a route for the Hub's clients: what it answers, and the statuses with which it may refuse. */
export function hubAnswers(
  good: Readonly<Record<number, unknown>>,
  ...refusals: readonly number[]
): Record<number, unknown> {
  const content = { 'application/json': { schema: HubError } }
  const refused = [...refusals, 500].map((status): [number, unknown] => [
    status,
    {
      description: `Refused: ${STATUS_CODES[status] ?? ''}`,
      headers: REFUSAL_HEADERS,
      content,
    },
  ])
  return { ...good, ...Object.fromEntries<unknown>(refused) }
}
