import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pino } from 'pino'
import { buildApp } from '../../routes/app.ts'
import { readConfig } from '../../src/config.ts'
import { openStrongroom, type Strongroom } from '../../src/strongroom.ts'

export const ADMIN = 'sr_the-admin-token-of-the-tests-0123456789'

/** What a test needs to be given of tap. */
interface Closing {
  readonly testdir: () => string
  readonly teardown: (close: () => Promise<unknown>) => void
}

export interface TestServer {
  readonly url: string
  readonly strongroom: Strongroom
  /** `data/vault` and `data/ledger` lie in it. */
  readonly folder: string
  /** One JSON object a line of the log. */
  readonly log: () => readonly Record<string, unknown>[]
  /** A token of that role; its secret. */
  readonly token: (role: string, scope?: string, expiresAt?: string) => Promise<string>
  /** fetch below the server's URL; a token of `undefined` sends none, and the admin's is sent when none is named. */
  readonly request: (
    path: string,
    init?: RequestInit & { token?: string | undefined; duplex?: 'half' },
  ) => Promise<Response>
  /** Publishes one file; the response. */
  readonly put: (
    ref: string,
    body: Uint8Array,
    init?: { token?: string; query?: string; headers?: Record<string, string> },
  ) => Promise<Response>
  readonly close: () => Promise<void>
}

/** A real server on a real socket, over real files, in this process; it closes with the test. */
export async function startServer(
  t: Closing,
  settings: Readonly<Record<string, string>> = {},
  folder: string = t.testdir(),
): Promise<TestServer> {
  const { config } = readConfig({
    STRONGROOM_VAULT: join(folder, 'data/vault'),
    STRONGROOM_LEDGER: join(folder, 'data/ledger'),
    STRONGROOM_ADMIN_TOKEN: ADMIN,
    STRONGROOM_CACHE_BYTES: '32MiB',
    STRONGROOM_DISK_FLOOR_BYTES: '0',
    // A test that detects says so: `STRONGROOM_DETECTOR: 'strongroom/pii@production'`.
    STRONGROOM_DETECTOR: '',
    ...settings,
  })
  const lines: Record<string, unknown>[] = []
  const log = pino(
    { level: 'info' },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  )
  const silent = { isTerminal: false, say: () => undefined, warn: () => undefined }
  const strongroom = await openStrongroom(config, log, silent, (error) => {
    throw error
  })
  const { fastify } = await buildApp(strongroom, log)
  await fastify.listen({ host: '127.0.0.1', port: 0 })
  // A connection that fetch takes up again must not be one that is being closed at that moment.
  fastify.server.keepAliveTimeout = 60_000
  const { port } = fastify.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`

  let closed: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closed ??= (async () => {
      fastify.server.closeAllConnections()
      await fastify.close()
      await strongroom.close()
    })())
  t.teardown(close)

  const request: TestServer['request'] = (path, { token, ...init } = { token: ADMIN }) => {
    const headers = new Headers(init.headers)
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    return fetch(url + path, { ...init, headers })
  }

  return {
    url,
    strongroom,
    folder,
    log: () => lines,
    request,
    token: async (role, scope = '*', expiresAt) => {
      const answer = await request('/v1/tokens', {
        token: ADMIN,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          name: `${role} of a test`,
          role,
          scope,
          expires_at: expiresAt ?? null,
        }),
      })
      const { token } = (await answer.json()) as { token: string }
      return token
    },
    put: (ref, body, { token = ADMIN, query = '', headers = {} } = {}) =>
      request(`/v1/checkpoints/${ref}${query}`, {
        token,
        method: 'PUT',
        headers,
        body: Buffer.from(body),
      }),
    close,
  }
}
