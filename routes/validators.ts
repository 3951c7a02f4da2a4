import AjvCompiler from '@fastify/ajv-compiler'

/** Every field that is wrong is told, and one that nobody knows is an error rather than dropped. */
const STRICT = { allErrors: true, removeAdditional: false } as const

/**
 * Parameters come as text, so that "3" has to pass for 3 there. A JSON body has types of its own and is held to
 * them: coerced, a null would turn into an empty text, and a number into a token's name.
 */
export const buildValidator: AjvCompiler.BuildCompilerFromPool = (shared) => {
  const build = AjvCompiler()
  const parameters = build(shared, { customOptions: STRICT })
  const bodies = build(shared, { customOptions: { ...STRICT, coerceTypes: false } })
  return (route) => (isOfBody(route) ? bodies(route) : parameters(route))
}

const isOfBody = (route: unknown): boolean =>
  typeof route === 'object' && route !== null && 'httpPart' in route && route.httpPart === 'body'
