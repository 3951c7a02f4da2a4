// What the tests of pushing share: requests as the Hub's clients make them, each on the wire as they write it.

import { createHash } from 'node:crypto'
import { ADMIN, type TestServer } from '../../helpers/server.ts'
import { type Json, jsonOf } from '../wire.ts'

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

export const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64')

/** A live pickle: it would call `os.system`. */
export const PICKLE = Buffer.from('\x80\x04cposix\nsystem\n(X\x02\x00\x00\x00idtR.', 'latin1')

export interface CommitLine {
  readonly key: string
  readonly value: Json
}
export const header = (more: Json = {}): CommitLine => ({
  key: 'header',
  value: { summary: 'a change', description: '', ...more },
})
export const fileLine = (path: string, content: Uint8Array | string): CommitLine => ({
  key: 'file',
  value: { path, content: base64(content), encoding: 'base64' },
})
export const lfsLine = (path: string, oid: string): CommitLine => ({
  key: 'lfsFile',
  value: { path, algo: 'sha256', oid, size: 1 },
})
export const ndjson = (lines: readonly CommitLine[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** What a batch says of one object. */
export interface Place {
  readonly oid: string
  readonly size: number
  readonly actions?: {
    readonly upload: { readonly href: string; readonly header?: Readonly<Record<string, string>> }
    readonly verify: { readonly href: string }
  }
  readonly error?: { readonly code: number; readonly message: string }
}

export interface Pusher {
  readonly send: (method: string, path: string, body?: unknown) => Promise<Response>
  readonly create: (repo: string) => Promise<Response>
  readonly batch: (repo: string, objects: readonly Json[]) => Promise<Response>
  /** What the client is to do with these bytes. */
  readonly placeOf: (repo: string, bytes: Uint8Array) => Promise<Place>
  /** Uploads it whole by LFS, unless it is here; its oid. */
  readonly upload: (repo: string, bytes: Uint8Array) => Promise<string>
  readonly commit: (
    repo: string,
    lines: readonly CommitLine[] | string,
    rev?: string,
  ) => Promise<Response>
  /** The commit that the server made. */
  readonly committed: (repo: string, lines: readonly CommitLine[], rev?: string) => Promise<string>
}

/** Pushes with one token. */
export function pushing({ request }: Pick<TestServer, 'request'>, token = ADMIN): Pusher {
  const post = (path: string, type: string, body: string): Promise<Response> =>
    request(path, { token, method: 'POST', headers: { 'content-type': type }, body })

  const send: Pusher['send'] = (method, path, body) =>
    request(path, {
      token,
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })

  const batch: Pusher['batch'] = (repo, objects) =>
    post(
      `/${repo}.git/info/lfs/objects/batch`,
      'application/vnd.git-lfs+json',
      JSON.stringify({
        operation: 'upload',
        transfers: ['basic', 'multipart'],
        objects,
        hash_algo: 'sha256',
      }),
    )

  const placeOf: Pusher['placeOf'] = async (repo, bytes) => {
    const answer = await batch(repo, [{ oid: sha256(bytes), size: bytes.length }])
    if (!answer.ok) throw new Error(await answer.text())
    const { objects } = (await jsonOf(answer)) as { readonly objects?: readonly Place[] }
    const [place] = objects ?? []
    if (place === undefined) throw new Error('the batch says nothing of it')
    return place
  }

  const commit: Pusher['commit'] = (repo, lines, rev = 'main') =>
    post(
      `/api/models/${repo}/commit/${encodeURIComponent(rev)}`,
      'application/x-ndjson',
      typeof lines === 'string' ? lines : ndjson(lines),
    )

  return {
    send,
    create: (repo) => send('POST', '/api/repos/create', { name: repo, type: 'model' }),
    batch,
    placeOf,
    upload: async (repo, bytes) => {
      const { oid, actions } = await placeOf(repo, bytes)
      if (actions === undefined) return oid
      const answer = await putTo(actions.upload.href, bytes)
      if (!answer.ok) throw new Error(await answer.text())
      return oid
    },
    commit,
    committed: async (repo, lines, rev) => {
      const answer = await commit(repo, lines, rev)
      if (!answer.ok) throw new Error(await answer.text())
      return String((await jsonOf(answer))['commitOid'])
    },
  }
}

/** As clients upload: without a token, the address is all that they have. */
export const putTo = (href: string, bytes: Uint8Array): Promise<Response> =>
  fetch(href, { method: 'PUT', body: Buffer.from(bytes) })

/** The entries of that action, oldest first. */
export async function auditOf(
  { request }: Pick<TestServer, 'request'>,
  action: string,
): Promise<readonly Json[]> {
  const answer = await request(`/v1/audit?action=${action}&limit=100`, { token: ADMIN })
  return ((await jsonOf(answer)) as { readonly items?: readonly Json[] }).items ?? []
}
