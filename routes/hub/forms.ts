import type { FastifyInstance } from 'fastify'
import { invalidField } from '../../src/errors.ts'

/** So many fields are parsed in a few milliseconds. */
const MAX_FIELDS = 2000

/** Has a scope's routes take HTML forms: what is there once is a text, what is there more often a list of them. */
export function parseForms(scope: FastifyInstance): void {
  scope.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => {
      const text = body.toString()
      if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS)
        done(invalidField('body', `must have at most ${MAX_FIELDS} fields`))
      else done(null, fieldsOf(new URLSearchParams(text)))
    },
  )
}

function fieldsOf(form: URLSearchParams): Record<string, string | readonly string[]> {
  const fields = new Map<string, string[]>()
  for (const name of form.keys()) fields.set(name, form.getAll(name))
  return Object.fromEntries(
    [...fields].map(([name, values]) => [name, values.length === 1 ? (values[0] ?? '') : values]),
  )
}
