import { invalidField, RegistryError } from '../errors.ts'
import { createGate } from '../gate.ts'
import { type CheckpointName, DEFAULT_PATH, type Sha256 } from '../registry/names.ts'
import type { Vault } from '../vault/vault.ts'
import type { ReserveRoom } from './room.ts'
import { createShares, oldestIdle, takeMakingRoom } from './shares.ts'
import type { Stage, StageRequest } from './stage.ts'
import { parseShard, type ShardFile } from './xet/shard.ts'
import { XetError } from './xet/xet-error.ts'
import type { XorbIndex } from './xet/xorb-index.ts'
import { createXorbReader } from './xet/xorb.ts'
import { bytesOf, counted, requireWhole, unpackedBytesOf, type Xorb } from './xet-file.ts'

/** Whose upload it is; one that goes on under another token is another. */
export interface XetUpload extends Pick<StageRequest, 'principal' | 'address' | 'checkpoint'> {
  /** The random name in the address that the client was given. */
  readonly nonce: string
}

/** Bytes of the files of a shard: those that were put together so far, and all. */
export interface ShardProgress {
  readonly verified: number
  readonly total: number
}

/**
 * The upload side of Xet: clients send containers of packed chunks (xorbs), and then lists (shards) of the chunks that make
 * each file. A file is put together from them, judged and staged like any other; its SHA-256 decides what it is.
 */
export interface XetSessions {
  /** False when there was one of that hash in the session already. */
  readonly takeXorb: (
    upload: XetUpload,
    hash: string,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<boolean>
  /** Stages every file of a shard. */
  readonly takeShard: (
    upload: XetUpload,
    body: AsyncIterable<Uint8Array>,
    tell?: (progress: ShardProgress) => void,
  ) => Promise<void>
  /** What was committed is kept elsewhere by now. */
  readonly settle: (
    tokenId: string,
    checkpoint: CheckpointName,
    committed: Iterable<string>,
  ) => Promise<void>
  /** Why a file was refused that a client of that token wanted to upload, if it was. */
  readonly refusalOf: (
    tokenId: string,
    checkpoint: CheckpointName,
    oid: string,
  ) => string | undefined
  readonly close: () => Promise<void>
}

interface Session {
  readonly leave: () => void
  readonly xorbs: Map<string, Xorb>
  readonly staged: Set<string>
  readonly refused: Map<string, string>
  busy: number
  lastUsed: number
}

const SWEEP_EVERY_MS = 60_000
/** In all, and of one token; of 64 MiB each. */
const MAX_XORBS = 131_072
const MAX_XORBS_A_TOKEN = 16_384
const MAX_SESSIONS = 10_000
const MAX_SESSIONS_A_TOKEN = 1_000
/** A client that sends nothing for so long doesn't come back. */
const ABANDONED_MS = 600_000
/** Refusals remembered in a session, and of each so many characters: it quotes what the file says. */
const MAX_REFUSED = 100
const MAX_TOLD = 500
/** A client begins another shard when one has 64 MiB. */
const MAX_SHARD_BYTES = 80 * 1024 * 1024

export function createXetSessions(parts: {
  readonly vault: Vault
  readonly stage: Stage
  readonly isHeld: (upload: XetUpload, sha256: Sha256, sizeBytes: number) => Promise<boolean>
  readonly reserveRoom: ReserveRoom
  readonly maxFiles: number
  /** Of shards being read at once, in all, and as much again of what is known of xorbs: half of that at most for one token. */
  readonly memoryBytes: number
  readonly keptMs: number
  /** After which a token’s session gives way to its next ones. */
  readonly abandonedMs?: number
}): XetSessions {
  const { vault, stage, isHeld, reserveRoom, maxFiles, memoryBytes, keptMs } = parts
  const { abandonedMs = ABANDONED_MS } = parts
  const sessions = new Map<string, Session>()
  const memory = createGate(memoryBytes)
  const takeMemory = createShares(memoryBytes, memoryBytes / 2)
  const takePlace = createShares(MAX_XORBS, MAX_XORBS_A_TOKEN)
  const takeSession = createShares(MAX_SESSIONS, MAX_SESSIONS_A_TOKEN)

  const prefixOf = (tokenId: string, { owner, name }: CheckpointName): string =>
    `${tokenId} ${owner}/${name} `.toLowerCase()

  const keyOf = ({ principal, checkpoint, nonce }: XetUpload): string =>
    prefixOf(principal.tokenId, checkpoint) + nonce

  async function sessionOf(upload: XetUpload): Promise<Session> {
    const key = keyOf(upload)
    const known = sessions.get(key)
    if (known !== undefined) return known
    const { tokenId } = upload.principal
    const leave = await orMakingRoom(tokenId, () => takeSession(tokenId), 'sessions are going on')
    const begun = sessions.get(key)
    if (begun !== undefined) {
      leave()
      return begun
    }
    const session = {
      leave,
      xorbs: new Map<string, Xorb>(),
      staged: new Set<string>(),
      refused: new Map<string, string>(),
      busy: 0,
      lastUsed: 0,
    }
    sessions.set(key, session)
    return session
  }

  /** Where a token has its share, what it has abandoned goes first. */
  async function orMakingRoom(
    tokenId: string,
    take: () => (() => void) | undefined,
    what: string,
  ): Promise<() => void> {
    const prefix = `${tokenId} `.toLowerCase()
    const leave = await takeMakingRoom(take, async () => {
      const oldest = oldestIdle(
        sessions,
        performance.now() - abandonedMs,
        (key, { busy }) => busy === 0 && key.startsWith(prefix),
      )
      if (oldest !== undefined) await forget(oldest)
      return oldest !== undefined
    })
    if (leave === undefined) throw tooMany(what)
    return leave
  }

  async function using<T>(upload: XetUpload, act: (session: Session) => Promise<T>): Promise<T> {
    const session = await sessionOf(upload)
    session.busy += 1
    try {
      return await act(session)
    } catch (error) {
      throw error instanceof XetError ? asRefusal(error) : error
    } finally {
      session.busy -= 1
      session.lastUsed = performance.now()
      if (isUntouched(session)) await forget(keyOf(upload))
    }
  }

  async function forget(key: string): Promise<void> {
    const session = sessions.get(key)
    const xorbs = [...(session?.xorbs.values() ?? [])]
    sessions.delete(key)
    session?.leave()
    await Promise.allSettled(xorbs.map(({ discard }) => discard()))
  }

  async function sweep(): Promise<void> {
    const oldest = performance.now() - keptMs
    for (const [key, { busy, lastUsed }] of sessions)
      if (busy === 0 && lastUsed < oldest) await forget(key)
  }
  const timer = setInterval(() => void sweep(), Math.min(SWEEP_EVERY_MS, keptMs))
  timer.unref()

  async function takeXorb(
    { xorbs }: Session,
    { principal: { tokenId } }: XetUpload,
    hash: string,
    body: AsyncIterable<Uint8Array>,
  ): Promise<boolean> {
    const leave = await orMakingRoom(tokenId, () => takePlace(tokenId), WAITING)
    try {
      const xorb = await spool(tokenId, body, leave)
      if (xorbs.has(hash)) {
        await xorb.discard()
        return false
      }
      xorbs.set(hash, xorb)
      return true
    } catch (error) {
      leave()
      throw error
    }
  }

  /** Keeps a xorb, and what it takes, until it is discarded. */
  async function spool(
    tokenId: string,
    body: AsyncIterable<Uint8Array>,
    leavePlace: () => void,
  ): Promise<Xorb> {
    const reader = createXorbReader()
    const scratch = await vault.scratch()
    let index: XorbIndex
    let leaveMemory: () => void
    try {
      for await (const chunk of body) {
        reader.write(chunk)
        await scratch.append(chunk)
      }
      index = reader.end()
      const bytes = bytesInMemory(index)
      leaveMemory = await orMakingRoom(tokenId, () => takeMemory(tokenId, bytes), WAITING)
    } catch (error) {
      await scratch.discard()
      throw error
    }
    const file = await scratch.park()
    return {
      file,
      index,
      discard: async () => {
        leavePlace()
        leaveMemory()
        await file.discard()
      },
    }
  }

  async function takeShard(
    session: Session,
    upload: XetUpload,
    body: AsyncIterable<Uint8Array>,
    tell: (progress: ShardProgress) => void,
  ): Promise<void> {
    const { bytes, release } = await gather(body)
    try {
      const files = await parseShard(bytes, { maxFiles })
      for (const file of files) await requireWhole(session.xorbs, file)
      const total = unpackedBytesOf(files)
      const leaveRoom = await reserveRoom(total)
      let verified = 0
      const count = (more: number): void => {
        verified += more
        tell({ verified, total })
      }
      try {
        for (const file of files) await stageFile(session, upload, file, count)
      } finally {
        leaveRoom()
      }
    } finally {
      release()
    }
  }

  /** A shard whole: it is looked up in while its files are put together. */
  async function gather(
    body: AsyncIterable<Uint8Array>,
  ): Promise<{ bytes: Uint8Array; release: () => void }> {
    const pieces: Uint8Array[] = []
    const leaves: (() => void)[] = []
    const release = (): void => {
      for (const leave of leaves) leave()
    }
    let length = 0
    try {
      for await (const piece of body) {
        length += piece.length
        if (length > MAX_SHARD_BYTES)
          throw new RegistryError('TOO_LARGE', 'The shard is too large.', {
            limit: MAX_SHARD_BYTES,
          })
        // Twice: the pieces, and the whole that is made of them.
        const leave = memory.tryEnter(piece.length * 2)
        if (leave === undefined) throw tooMany('shards are being read')
        leaves.push(leave)
        pieces.push(Uint8Array.from(piece))
      }
      return { bytes: Buffer.concat(pieces, length), release }
    } catch (error) {
      release()
      throw error
    }
  }

  async function stageFile(
    session: Session,
    upload: XetUpload,
    file: ShardFile,
    count: (bytes: number) => void,
  ): Promise<void> {
    const { sha256, unpackedBytes } = file
    if (sha256 === undefined)
      throw invalidField('body', 'doesn’t say the SHA-256 of a file', 'The shard is refused.')
    if (!(await isHeld(upload, sha256, unpackedBytes))) {
      try {
        await stage({
          principal: upload.principal,
          address: upload.address,
          checkpoint: upload.checkpoint,
          path: DEFAULT_PATH,
          kind: 'safetensors',
          body: counted(bytesOf(session.xorbs, file), count),
          announcedBytes: unpackedBytes,
          expected: sha256,
        })
      } catch (error) {
        const refusal = error instanceof XetError ? asRefusal(error) : error
        if (refusal instanceof RegistryError) remember(session.refused, sha256, refusal.message)
        throw refusal
      }
    }
    session.refused.delete(sha256)
    session.staged.add(sha256)
  }

  return {
    takeXorb: (upload, hash, body) =>
      using(upload, (session) => takeXorb(session, upload, hash, body)),
    takeShard: (upload, body, tell = () => undefined) =>
      using(upload, (session) => takeShard(session, upload, body, tell)),
    settle: async (tokenId, checkpoint, committed) => {
      const done = new Set(committed)
      const prefix = prefixOf(tokenId, checkpoint)
      for (const [key, { busy, staged }] of sessions) {
        if (!key.startsWith(prefix) || busy > 0 || staged.size === 0) continue
        if ([...staged].every((sha256) => done.has(sha256))) await forget(key)
      }
    },
    refusalOf: (tokenId, checkpoint, oid) => {
      const prefix = prefixOf(tokenId, checkpoint)
      for (const [key, { refused }] of sessions)
        if (key.startsWith(prefix) && refused.has(oid)) return refused.get(oid)
      return undefined
    },
    close: async () => {
      clearInterval(timer)
      for (const key of [...sessions.keys()]) await forget(key)
    },
  }
}

/** For the commit that names the file; the client goes no further with one, so that few are ever asked for. */
function remember(refused: Map<string, string>, sha256: string, why: string): void {
  if (refused.size < MAX_REFUSED) refused.set(sha256, why.slice(0, MAX_TOLD).toWellFormed())
}

/** Nothing came of it. */
const isUntouched = ({ busy, xorbs, staged, refused }: Session): boolean =>
  busy + xorbs.size + staged.size + refused.size === 0

const bytesInMemory = ({ starts, rawStarts, schemes }: XorbIndex): number =>
  starts.byteLength + rawStarts.byteLength + schemes.byteLength

const WAITING = 'xorbs wait for their commits'

const tooMany = (what: string): RegistryError =>
  new RegistryError('TOO_MANY_REQUESTS', `As many ${what} as can be; try later.`, {
    retry_after: 5,
  })

const asRefusal = ({ reason, message }: XetError): RegistryError =>
  new RegistryError('INVALID_REQUEST', `This is no Xet upload: ${message}.`, {
    reason,
    errors: [{ field: 'body', detail: message }],
  })
