// What the tests of the Hub's routes share: repositories published over /v1, and refusals as the Hub's clients read them.

import type { Test } from 'tap'
import type { TestServer } from '../../helpers/server.ts'
import { ADMIN } from '../../helpers/server.ts'
import { type Json, jsonOf } from '../wire.ts'

/** Publishes files, sidecars among them, as one version. */
export async function publish(
  { request }: Pick<TestServer, 'request'>,
  ref: string,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<string> {
  const [owner = '', name = ''] = ref.split('/')
  await request(`/v1/checkpoints/${owner}/${name}/policy`, {
    token: ADMIN,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{"sidecars": true}',
  })
  const body = new FormData()
  for (const [path, bytes] of Object.entries(files))
    body.append('file', new Blob([Buffer.from(bytes)]), path)
  const answer = await request(`/v1/checkpoints/${ref}`, { token: ADMIN, method: 'POST', body })
  if (!answer.ok) throw new Error(await answer.text())
  return String((await jsonOf(answer))['revision'])
}

/** Asserts that the response is that refusal, as the Hub's clients are told it; returns its body. */
export async function refusal(
  t: Test,
  response: Response,
  status: number,
  hubCode: string | null,
  code: string,
): Promise<Json> {
  const { headers } = response
  const body = await jsonOf(response)
  t.equal(response.status, status)
  t.equal(headers.get('x-error-code'), hubCode)
  t.match(headers.get('x-error-message'), /^[ -~]+$/)
  t.match(headers.get('content-type'), /^application\/json/)
  t.match(body, { error: /./, code, request_id: headers.get('x-request-id') })
  return body
}
