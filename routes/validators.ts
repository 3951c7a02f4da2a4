import AjvCompiler from '@fastify/ajv-compiler'

/** A field that nobody knows is an error rather than dropped. */
const STRICT = { removeAdditional: false } as const
/** Every field that is wrong is told, not only the first. */
const THOROUGH = { ...STRICT, allErrors: true } as const
/** In a body of more values than this only the first error is looked for: a megabyte of errors takes its time. */
const THOROUGH_VALUES = 100

type Validator = ReturnType<ReturnType<AjvCompiler.BuildCompilerFromPool>>

/**
 * Parameters come as text, so that "3" has to pass for 3 there. A JSON body has types of its own and is held to
 * them: coerced, a null would turn into an empty text, and a number into a token's name.
 */
export const buildValidator: AjvCompiler.BuildCompilerFromPool = (shared) => {
  const build = AjvCompiler()
  const parameters = build(shared, { customOptions: THOROUGH })
  const shortBodies = build(shared, { customOptions: { ...THOROUGH, coerceTypes: false } })
  const longBodies = build(shared, { customOptions: { ...STRICT, coerceTypes: false } })
  return (route) =>
    isOfBody(route) ? bySize(shortBodies(route), longBodies(route)) : parameters(route)
}

function bySize(forShort: Validator, forLong: Validator): Validator {
  const { schema, schemaEnv } = forShort
  const judge = (body: unknown): body is unknown => {
    const validator = holdsMoreThan(THOROUGH_VALUES, body) ? forLong : forShort
    const isValid = validator(body) === true
    validate.errors = validator.errors ?? null
    return isValid
  }
  const validate: Validator = Object.assign(judge, { schema, schemaEnv })
  return validate
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

const isOfBody = (route: unknown): boolean =>
  typeof route === 'object' && route !== null && 'httpPart' in route && route.httpPart === 'body'
