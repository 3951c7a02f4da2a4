import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifySchemaCompiler } from 'fastify'

type Validate = ReturnType<FastifySchemaCompiler<unknown>>

/**
 * A field that nobody knows is an error rather than dropped. That the schemas are schemas is tested: to find out at
 * every start would be a large part of it.
 */
const STRICT = { removeAdditional: false, validateSchema: false } as const
/** Every field that is wrong is told, not only the first. */
const THOROUGH = { ...STRICT, allErrors: true } as const
/** In a body of more values than this only the first error is looked for: a megabyte of errors takes its time. */
const THOROUGH_VALUES = 100

/**
 * Parameters come as text, so that "3" has to pass for 3 there. A JSON body has types of its own and is held to
 * them: coerced, a null would turn into an empty text, and a number into a token's name.
 *
 * A schema is compiled when something is first judged by it.
 */
export function validators(): FastifySchemaCompiler<unknown> {
  const build = AjvCompiler()
  const parameters = build({}, { customOptions: THOROUGH })
  const shortBodies = build({}, { customOptions: { ...THOROUGH, coerceTypes: false } })
  const longBodies = build({}, { customOptions: { ...STRICT, coerceTypes: false } })
  const forBody = (body: unknown) =>
    holdsMoreThan(THOROUGH_VALUES, body) ? longBodies : shortBodies
  return (route) => {
    const validate: Validate = (value: unknown) => {
      const compile = route.httpPart === 'body' ? forBody(value) : parameters
      const validator = compile(route)
      const isValid = validator(value) === true
      validate.errors = validator.errors ?? null
      return isValid
    }
    return validate
  }
}

function holdsMoreThan(limit: number, body: unknown): boolean {
  const left: unknown[] = [body]
  let values = 0
  while (left.length > 0) {
    const value = left.pop()
    // Bytes have a key each, and to list those of a few megabytes takes the loop's time; no schema looks into them.
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) continue
    for (const key in value) {
      values += 1
      if (values > limit) return true
      left.push((value as Record<string, unknown>)[key])
    }
  }
  return false
}
