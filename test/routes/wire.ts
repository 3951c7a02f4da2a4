// What the tests of the routes share: a small file, a problem looked at from all sides, a bare socket.

import { connect } from 'node:net'
import type { Test } from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'

/** A valid file of one tensor; files of different fills are different files. */
export const smallFile = (
  fill = 1,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> =>
  writeSafetensors(
    [{ name: 'weight', dtype: 'U8', shape: [4], bytes: new Uint8Array(4).fill(fill) }],
    metadata,
  )

export type Json = Readonly<Record<string, unknown>>

export const jsonOf = async (response: Response): Promise<Json> => (await response.json()) as Json

/** Asserts that the response is that problem, whole and well formed; returns its body. */
export async function problem(
  t: Test,
  response: Response,
  status: number,
  code: string,
  facts: Json = {},
): Promise<Json> {
  const body = await jsonOf(response)
  t.equal(response.status, status)
  t.match(response.headers.get('content-type'), /^application\/problem\+json/)
  t.equal(response.headers.get('x-request-id'), body['request_id'])
  t.match(body, {
    type: `urn:strongroom:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title: /./,
    detail: /./,
    request_id: /./,
    status,
    code,
    ...facts,
  })
  return body
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Sends bytes as they are and reads until the server closes. */
export async function exchange(url: string, request: string): Promise<RawAnswer> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(request, 'latin1')
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk)
  const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s)
  const [line = '', ...lines] = head.split('\r\n')
  const headers = lines.map((header) => {
    const [name = '', value = ''] = header.split(/: (.*)/s)
    return [name.toLowerCase(), value]
  })
  return {
    status: Number(line.split(' ')[1]),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  }
}
