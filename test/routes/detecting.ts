// What the tests of the detection routes share: a server whose detector is small and made of random weights.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { backupLedger } from '../../db/backup.ts'
import { tinyDetector, type TinyOptions } from '../detect/fixture.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import type { Json } from './wire.ts'

type Closing = Parameters<typeof startServer>[0]

export interface DetectingServer extends TestServer {
  /** Sends JSON. */
  readonly post: (path: string, body: unknown, token?: string) => Promise<Response>
  /** Resolves once the ref leads to this version and it serves. */
  readonly served: (version: string) => Promise<void>
}

const REF = 'acme/tiny@production'

/** A server that detects with `acme/tiny@1.0`. */
export async function startDetecting(
  t: Closing,
  settings: Readonly<Record<string, string>> = {},
  detector: TinyOptions = { threshold: 0.15 },
): Promise<DetectingServer> {
  const server = await startServer(t, { STRONGROOM_DETECTOR: REF, ...settings })
  const { request, put } = server

  const post: DetectingServer['post'] = (path, body, token = ADMIN) =>
    request(path, {
      token,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  async function served(version: string): Promise<void> {
    for (;;) {
      const { items } = (await (await request('/detect/models')).json()) as { items: Json[] }
      if (items[0]?.['version'] === version) return
      await setTimeout(10)
    }
  }

  const published = await put('acme/tiny/1.0', tinyDetector(detector))
  if (published.status !== 201) throw new Error(await published.text())
  await request('/v1/checkpoints/acme/tiny/tags/production', {
    token: ADMIN,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ref: '1.0' }),
  })
  await served('1.0')
  return { ...server, post, served }
}

/** A server that only reads, from a snapshot of what `startDetecting` published. */
export async function startReplica(t: Closing, { folder }: DetectingServer): Promise<TestServer> {
  const snapshots = join(folder, 'snapshots')
  mkdirSync(snapshots, { mode: 0o700 })
  const order = { auditKey: undefined, signal: new AbortController().signal }
  await backupLedger(join(folder, 'data/ledger'), join(snapshots, 'strongroom.db'), order)
  const settings = {
    STRONGROOM_READ_ONLY: '1',
    STRONGROOM_LEDGER: snapshots,
    STRONGROOM_DETECTOR: REF,
  }
  return startServer(t, settings, folder)
}
