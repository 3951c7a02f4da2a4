/** Every way in which the registry says no. The words are stable: callers program against them. */
export type ErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'INVALID_REQUEST'
  | 'INVALID_NAME'
  | 'INVALID_SAFETENSORS'
  | 'METADATA_REFUSED'
  | 'MIGRATION_REFUSED'
  | 'DIGEST_MISMATCH'
  | 'VERSION_EXISTS'
  | 'WITHDRAWN'
  | 'TAG_PROTECTED'
  | 'TAG_MOVED'
  | 'READ_ONLY'
  | 'RANGE_NOT_SATISFIABLE'
  | 'SLICE_NOT_ON_BYTES'
  | 'PRECONDITION_FAILED'
  | 'METHOD_NOT_ALLOWED'
  | 'REQUEST_TIMEOUT'
  | 'URI_TOO_LONG'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'EXPECTATION_FAILED'
  | 'REQUEST_HEADER_FIELDS_TOO_LARGE'
  | 'TOO_LARGE'
  | 'INTEGRITY_FAILURE'
  | 'INSUFFICIENT_STORAGE'
  | 'TOO_MANY_REQUESTS'
  | 'NOT_READY'
  | 'DETECTOR_UNAVAILABLE'
  | 'DETECTION_FAILED'
  | 'DEADLINE_EXCEEDED'
  | 'INTERNAL'

export type Facts = Readonly<Record<string, unknown>>

/** An error is a code, a sentence for a person, and facts for a program. It knows no HTTP. */
export class RegistryError extends Error {
  readonly code: ErrorCode
  readonly facts: Facts

  constructor(code: ErrorCode, sentence: string, facts: Facts = {}, cause?: unknown) {
    super(sentence, cause === undefined ? undefined : { cause })
    this.name = 'RegistryError'
    this.code = code
    this.facts = facts
  }
}

export const readOnly = (): RegistryError =>
  new RegistryError(
    'READ_ONLY',
    'This server only reads; publish and change at the one that writes.',
  )

/** INVALID_REQUEST for one field, named as the caller wrote it: `query.limit`, `body.role`. */
export const invalidField = (
  field: string,
  detail: string,
  sentence = 'The request is not valid.',
): RegistryError => new RegistryError('INVALID_REQUEST', sentence, { errors: [{ field, detail }] })
