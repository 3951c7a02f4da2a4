import type { RegistryError } from '../src/errors.ts'
import type { Problem } from './problem.ts'

/** Addresses of Presidio's analyzer, whose clients read errors as Presidio writes them. */
const ADDRESSES = new Set(['/analyze', '/supportedentities', '/recognizers'])

export const isPresidios = (url: string | undefined): boolean => ADDRESSES.has(url ?? '')

/** The same refusal as `{error}`, with the fields that are wrong in its one sentence. */
export function asPresidioError(problem: Problem, { message, facts }: RegistryError): Problem {
  const fields = Array.isArray(facts['errors'])
    ? facts['errors'].map(
        ({ field, detail }: Record<string, unknown>) => `${String(field)} ${String(detail)}`,
      )
    : []
  const error = fields.length === 0 ? message : `${message} ${fields.join('; ')}`
  return {
    ...problem,
    headers: { ...problem.headers, 'content-type': 'application/json; charset=utf-8' },
    body: JSON.stringify({ error }),
  }
}
