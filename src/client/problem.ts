import { STATUS_CODES } from 'node:http'
import { RefusedError, UnreachableError } from './failures.ts'

interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: AsyncIterable<Uint8Array>
}

const MAX_PROBLEM_BYTES = 1024 * 1024
/** What a proxy says that didn't reach the registry itself. */
const PROXY_STATUSES = [502, 503, 504]

/** The error that an answer of 300 and up means: RFC 9457 problem details where it has them. */
export async function refusalOf({ status, headers, body }: Refusal): Promise<Error> {
  const text = await readSome(body)
  const type = headers['content-type']
  if (typeof type === 'string' && type.startsWith('application/problem+json')) {
    const problem = parseProblem(text)
    if (problem !== undefined) {
      const { title, detail, code, ...facts } = problem
      delete facts['type']
      delete facts['status']
      const sentence = typeof detail === 'string' ? detail : String(title)
      return new RefusedError(
        status,
        typeof code === 'string' ? code : `HTTP_${status}`,
        sentence,
        facts,
      )
    }
  }
  const name = `${status} ${STATUS_CODES[status] ?? ''}`.trim()
  if (PROXY_STATUSES.includes(status)) {
    return new UnreachableError(
      `The registry can't be reached: something before it answers ${name}.`,
    )
  }
  const where =
    status < 400 ? ' It redirects, which is not followed: give the address it leads to.' : ''
  return new RefusedError(status, `HTTP_${status}`, `The server answers ${name}.${where}`)
}

/** As much of a problem as came: a server that closes early has still said its status. */
async function readSome(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_PROBLEM_BYTES) break
    }
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error
  }
  return Buffer.concat(chunks).toString()
}

function parseProblem(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
