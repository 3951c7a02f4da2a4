import type { RegistryError } from '../src/errors.ts'
import { inOneSentence, type Problem } from './problem.ts'

/** Addresses of Presidio's analyzer, whose clients read errors as Presidio writes them. */
const ADDRESSES = new Set(['/analyze', '/supportedentities', '/recognizers'])

export const isPresidios = (url: string | undefined): boolean => ADDRESSES.has(url ?? '')

/** The same refusal as `{error}`, with the fields that are wrong in its one sentence. */
export const asPresidioError = (problem: Problem, error: RegistryError): Problem => ({
  ...problem,
  headers: { ...problem.headers, 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify({ error: inOneSentence(error) }),
})
