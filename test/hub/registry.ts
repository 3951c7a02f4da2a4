import { readdir } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { tokenDigest } from '../../src/access/tokens.ts'
import type { Principal } from '../../src/access/principal.ts'
import { readConfig } from '../../src/config.ts'
import type { CommitHeader, CommitOperation } from '../../src/hub/commit-lines.ts'
import type { StageRequest } from '../../src/hub/stage.ts'
import {
  type CheckpointName,
  DEFAULT_PATH,
  parseCheckpointName,
  parseFilePath,
  parseSha256,
  type Sha256,
} from '../../src/registry/names.ts'
import { openStrongroom } from '../../src/strongroom.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { addToken } from '../db/fixture.ts'
import { bytesOf, sha256 } from '../hashing/fixture.ts'
import { ADMIN } from '../helpers/server.ts'
import { cut, u8 } from '../vault/fixture.ts'

export const BERT = parseCheckpointName('acme', 'bert')

export const weights = (seed: string, size = 500): Uint8Array =>
  writeSafetensors([u8('w', bytesOf(seed, size))])
export const digestOf = (bytes: Uint8Array): Sha256 => parseSha256(sha256(bytes).toString('hex'))

export type Asked = CommitHeader | CommitOperation

export const header = (parentCommit?: string, summary = 'a commit'): Asked => ({
  key: 'header',
  summary,
  description: '',
  parentCommit,
})
export const text = (path: string, content: string): Asked => ({
  key: 'file',
  path: parseFilePath(path),
  content: () => cut(Buffer.from(content), 7),
})
export const large = (path: string, bytes: Uint8Array): Asked => ({
  key: 'lfsFile',
  path: parseFilePath(path),
  oid: digestOf(bytes),
})
export const gone = (path: string): Asked => ({ key: 'deletedFile', path })
export const goneFolder = (path: string): Asked => ({ key: 'deletedFolder', path })

/** The registry without its HTTP, over real files; `acme/bert` was created as the Hub's clients do. */
export async function openRegistry(t: Test, settings: Readonly<Record<string, string>> = {}) {
  const folder = t.testdir()
  const { config } = readConfig({
    STRONGROOM_VAULT: join(folder, 'vault'),
    STRONGROOM_LEDGER: join(folder, 'ledger'),
    STRONGROOM_ADMIN_TOKEN: ADMIN,
    STRONGROOM_CACHE_BYTES: '32MiB',
    STRONGROOM_DISK_FLOOR_BYTES: '0',
    STRONGROOM_DETECTOR: '',
    STRONGROOM_HASH_WORKERS: '1',
    ...settings,
  })
  const silent = { isTerminal: false, say: () => undefined, warn: () => undefined }
  const strongroom = await openStrongroom(config, pino({ level: 'silent' }), silent, (error) => {
    throw error
  })
  let closed: Promise<void> | undefined
  const close = () => (closed ??= strongroom.close())
  t.teardown(close)
  const { ledger, hub } = strongroom
  const token = await ledger.findToken(tokenDigest(ADMIN))
  if (token === undefined) throw new Error('there is no admin')
  const admin = { tokenId: token.id, name: token.name, role: token.role, scope: token.scope }
  const address = '192.0.2.1'

  async function create(checkpoint: CheckpointName): Promise<void> {
    const { tokenId } = admin
    await ledger.createCheckpoint({ tokenId, roles: ['admin'], address, ...checkpoint })
  }
  await create(BERT)

  async function principal(id: string, scope = '*'): Promise<Principal> {
    const { name, role } = await addToken(ledger, id, { scope })
    return { tokenId: id, name, role, scope }
  }

  const stage = (bytes: Uint8Array, request: Partial<StageRequest> = {}): Promise<Sha256> =>
    hub.stage({
      principal: admin,
      address,
      checkpoint: BERT,
      path: DEFAULT_PATH,
      kind: 'safetensors',
      body: cut(bytes, 1000),
      announcedBytes: bytes.length,
      expected: undefined,
      ...request,
    })

  async function* lines(asked: readonly Asked[]): AsyncGenerator<Asked> {
    for (const one of asked) yield await Promise.resolve(one)
  }

  const commit = (
    asked: readonly Asked[],
    { revision = 'main', as = admin, checkpoint = BERT } = {},
  ) => hub.commit({ principal: as, address, checkpoint, revision, lines: lines(asked) })

  /** The digests of what a version or a tag holds. */
  async function filesAt(ref: string): Promise<Readonly<Record<string, string>>> {
    const resolved = await ledger.resolve(BERT.owner, BERT.name, ref)
    const files = await ledger.filesOf(resolved?.version.id ?? 0)
    return Object.fromEntries(files.map(({ path, blob }) => [path, blob.sha256]))
  }

  const vault = join(folder, 'vault')
  return {
    strongroom,
    ledger,
    hub,
    admin,
    address,
    create,
    principal,
    stage,
    commit,
    filesAt,
    close,
    staged: () => readdir(join(vault, 'staging')),
    /** Vault ids of all that is stored. */
    blobs: async () => (await readdir(join(vault, 'blobs'), { recursive: true })).filter(isStored),
  }
}

const isStored = (path: string): boolean => path.includes(sep)
