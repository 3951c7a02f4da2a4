import { STATUS_CODES } from 'node:http'
import { type ErrorCode, type Facts, RegistryError } from '../src/errors.ts'

/** The one table from codes to statuses; a code without a row doesn't compile. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  INVALID_REQUEST: 400,
  INVALID_NAME: 400,
  INVALID_SAFETENSORS: 422,
  METADATA_REFUSED: 422,
  MIGRATION_REFUSED: 422,
  DIGEST_MISMATCH: 422,
  VERSION_EXISTS: 409,
  WITHDRAWN: 410,
  TAG_PROTECTED: 403,
  TAG_MOVED: 412,
  READ_ONLY: 403,
  RANGE_NOT_SATISFIABLE: 416,
  SLICE_NOT_ON_BYTES: 422,
  PRECONDITION_FAILED: 412,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  URI_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  EXPECTATION_FAILED: 417,
  REQUEST_HEADER_FIELDS_TOO_LARGE: 431,
  TOO_LARGE: 413,
  INTEGRITY_FAILURE: 500,
  INSUFFICIENT_STORAGE: 507,
  TOO_MANY_REQUESTS: 429,
  NOT_READY: 503,
  DETECTOR_UNAVAILABLE: 503,
  DETECTION_FAILED: 500,
  DEADLINE_EXCEEDED: 504,
  INTERNAL: 500,
}

/** An answer that says no: RFC 9457 problem details, and the headers that go with the code. */
export interface Problem {
  readonly status: number
  readonly title: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** What a program is told beside the code. */
  readonly facts: Facts
}

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

const REALM = 'Bearer realm="strongroom"'

export function problemOf(error: RegistryError, requestId: string): Problem {
  const status = STATUS[error.code]
  const { retry_after: retryAfter, challenge, size, allow, ...facts } = error.facts
  const headers: Record<string, string> = {
    'content-type': PROBLEM_TYPE,
    'cache-control': 'no-store',
  }
  if (error.code === 'UNAUTHENTICATED') {
    headers['www-authenticate'] =
      challenge === 'none_sent' ? REALM : `${REALM}, error="invalid_token"`
  }
  if (error.code === 'FORBIDDEN')
    headers['www-authenticate'] = `${REALM}, error="insufficient_scope"`
  if (typeof retryAfter === 'number')
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfter)))
  if (error.code === 'RANGE_NOT_SATISFIABLE') headers['content-range'] = `bytes */${String(size)}`
  if (typeof allow === 'string') headers['allow'] = allow
  const title = STATUS_CODES[status] ?? 'Error'
  const body = JSON.stringify({
    type: `urn:strongroom:problem:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    ...facts,
  })
  return { status, title, headers, body, facts }
}

/** The refusal in one sentence, with the fields that are wrong in it: for clients that read nothing else. */
export function inOneSentence({ message, facts }: RegistryError): string {
  const fields = Array.isArray(facts['errors'])
    ? facts['errors'].map(
        ({ field, detail }: Record<string, unknown>) => `${String(field)} ${String(detail)}`,
      )
    : []
  return fields.length === 0 ? message : `${message} ${fields.join('; ')}`
}
