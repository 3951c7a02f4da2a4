import SerializerSelector from '@fastify/fast-json-stringify-compiler'
import type { FastifySerializerCompiler } from 'fastify'

type Serialize = ReturnType<FastifySerializerCompiler<unknown>>

/**
 * Compiles a schema once, and when the first answer is written by it: of a route's dozen schemas most are that of a
 * refusal, and to compile all of them for each route would be a large part of a start.
 */
export function serializers(): FastifySerializerCompiler<unknown> {
  const compile = SerializerSelector()()
  const compiled = new Map<unknown, Serialize>()
  return ({ httpStatus = '', ...route }) =>
    (answer) => {
      const serialize = compiled.get(route.schema) ?? compile({ ...route, httpStatus })
      compiled.set(route.schema, serialize)
      return serialize(answer)
    }
}
