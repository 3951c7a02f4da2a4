import { RegistryError } from '../errors.ts'
import type { Sha256 } from '../registry/names.ts'
import { createValidator } from '../safetensors/stream.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { refusalOf } from '../vault/refusal.ts'
import type { Vault } from '../vault/vault.ts'
import type { ReserveRoom } from './room.ts'
import { createShares, oldestIdle, takeMakingRoom } from './shares.ts'
import type { Stage, StageRequest } from './stage.ts'

/** A large object that comes in parts, each of them in a request of its own, in any order and as often as it takes. */
export interface Assemblies {
  /** How an object of this size is cut: undefined where it comes whole. */
  readonly partBytes: (size: number) => number | undefined
  /** Keeps a part; one that comes again takes the place of the one before. */
  readonly takePart: (
    object: LargeObject,
    part: number,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<void>
  /** Stages the object, once all of its parts are here. */
  readonly complete: (object: LargeObject) => Promise<Sha256>
  readonly close: () => Promise<void>
}

export interface LargeObject extends Omit<StageRequest, 'body' | 'announcedBytes' | 'expected'> {
  readonly oid: Sha256
  readonly sizeBytes: number
}

interface Part {
  readonly read: () => AsyncIterable<Uint8Array>
  readonly discard: () => Promise<void>
}

interface Assembly {
  readonly parts: Map<number, Part>
  lastUsed: number
  /** While it is put together; whoever asks again gets the same answer. */
  completing: Promise<Sha256> | undefined
}

const MAX_PARTS = 100
/** In all, and of one token: a part may be a byte long. */
const MAX_PARTS_KEPT = 50_000
const MAX_PARTS_A_TOKEN = 10_000
/** A client that sends nothing for so long doesn't come back. */
const ABANDONED_MS = 600_000
/** A longer header takes memory that is shared out when the whole is judged. */
const JUDGED_EARLY_BYTES = 1024 * 1024
const SWEEP_EVERY_MS = 60_000

export function createAssemblies(parts: {
  readonly vault: Vault
  readonly stage: Stage
  readonly reserveRoom: ReserveRoom
  /** An object that is larger comes in parts of so many bytes, or more where they would be too many. */
  readonly wholeBytes: number
  /** How long parts wait for others. */
  readonly keptMs: number
}): Assemblies {
  const { vault, stage, reserveRoom, wholeBytes, keptMs } = parts
  const assemblies = new Map<string, Assembly>()
  const takePlace = createShares(MAX_PARTS_KEPT, MAX_PARTS_A_TOKEN)

  const partBytes = (size: number): number | undefined => {
    if (size <= wholeBytes) return undefined
    return Math.max(wholeBytes, Math.ceil(size / MAX_PARTS))
  }

  const keyOf = ({ principal, checkpoint: { owner, name }, oid, sizeBytes }: LargeObject): string =>
    `${principal.tokenId} ${owner}/${name} ${oid} ${sizeBytes}`.toLowerCase()

  async function forget(key: string): Promise<void> {
    const assembly = assemblies.get(key)
    assemblies.delete(key)
    await Promise.allSettled([...(assembly?.parts.values() ?? [])].map((part) => part.discard()))
  }

  async function sweep(): Promise<void> {
    const oldest = performance.now() - keptMs
    for (const [key, { lastUsed, completing }] of assemblies)
      if (completing === undefined && lastUsed < oldest) await forget(key)
  }
  const timer = setInterval(() => void sweep(), Math.min(SWEEP_EVERY_MS, keptMs))
  timer.unref()

  /** The first part says whether the whole can become anything. */
  function beginningOf(object: LargeObject, part: number): (bytes: Uint8Array) => void {
    if (part !== 1) return () => undefined
    const validator = createValidator({ fileBytes: object.sizeBytes, deferTilingAbove: 0 })
    let isRead = false
    return (bytes) => {
      if (isRead) return
      try {
        validator.write(bytes)
      } catch (error) {
        throw error instanceof SafetensorsError ? refusalOf(error, object) : error
      }
      const { header, headerBytes = 0 } = validator
      isRead = header !== undefined || headerBytes > JUDGED_EARLY_BYTES
    }
  }

  /** Where a token has its share, the parts that it has abandoned go first. */
  async function takePlaceOf({ principal: { tokenId } }: LargeObject): Promise<() => void> {
    const leave = await takeMakingRoom(
      () => takePlace(tokenId),
      async () => {
        const oldest = oldestIdle(
          assemblies,
          performance.now() - ABANDONED_MS,
          (key, { completing }) => completing === undefined && key.startsWith(`${tokenId} `),
        )
        if (oldest !== undefined) await forget(oldest)
        return oldest !== undefined
      },
    )
    if (leave === undefined)
      throw new RegistryError(
        'TOO_MANY_REQUESTS',
        'As many parts wait for others as can be; try later.',
        { retry_after: 60 },
      )
    return leave
  }

  /** So many bytes of an object, kept in a file of their own. */
  async function spool(
    object: LargeObject,
    body: AsyncIterable<Uint8Array>,
    size: number,
    judge: (bytes: Uint8Array) => void,
  ): Promise<Part> {
    const leave = await takePlaceOf(object)
    try {
      const scratch = await vault.scratch()
      try {
        for await (const chunk of body) {
          judge(chunk)
          if (scratch.sizeBytes + chunk.length > size) throw wrongSize(size)
          await scratch.append(chunk)
        }
        if (scratch.sizeBytes !== size) throw wrongSize(size)
      } catch (error) {
        await scratch.discard()
        throw error
      }
      const { read, discard } = await scratch.park()
      return {
        read,
        discard: async () => {
          leave()
          await discard()
        },
      }
    } catch (error) {
      leave()
      throw error
    }
  }

  const countOf = (sizeBytes: number): number =>
    Math.ceil(sizeBytes / (partBytes(sizeBytes) ?? sizeBytes))

  async function putTogether(
    key: string,
    { oid, sizeBytes, ...file }: LargeObject,
    assembly: Assembly,
  ): Promise<Sha256> {
    let leaveRoom = (): void => undefined
    try {
      leaveRoom = await reserveRoom(sizeBytes)
      const body = inOrder(assembly.parts, countOf(sizeBytes))
      const sha256 = await stage({ ...file, body, announcedBytes: sizeBytes, expected: oid })
      await forget(key)
      return sha256
    } catch (error) {
      if (isBusy(error)) {
        assembly.completing = undefined
        assembly.lastUsed = performance.now()
      } else await forget(key)
      throw error
    } finally {
      leaveRoom()
    }
  }

  return {
    partBytes,
    takePart: async (object, number, body) => {
      const key = keyOf(object)
      const size = partSize(object.sizeBytes, partBytes(object.sizeBytes), number)
      const part = await spool(object, body, size, beginningOf(object, number))
      const assembly = assemblies.get(key) ?? newAssembly()
      if (assembly.completing !== undefined) {
        await part.discard()
        return
      }
      assemblies.set(key, assembly)
      assembly.lastUsed = performance.now()
      const before = assembly.parts.get(number)
      assembly.parts.set(number, part)
      await before?.discard()
    },
    complete: async (object) => {
      const key = keyOf(object)
      const assembly = assemblies.get(key)
      if (assembly === undefined || assembly.parts.size < countOf(object.sizeBytes))
        throw new RegistryError('INVALID_REQUEST', 'Parts of this object are missing.', {
          errors: [{ field: 'body.parts', detail: 'must all be uploaded' }],
        })
      assembly.completing ??= putTogether(key, object, assembly)
      return assembly.completing
    },
    close: async () => {
      clearInterval(timer)
      for (const key of [...assemblies.keys()]) await forget(key)
    },
  }
}

/** The client tries again, with the parts that are here. */
const isBusy = (error: unknown): boolean =>
  error instanceof RegistryError &&
  (error.code === 'TOO_MANY_REQUESTS' || error.code === 'INSUFFICIENT_STORAGE')

const newAssembly = (): Assembly => ({ parts: new Map(), lastUsed: 0, completing: undefined })

function partSize(total: number, partBytes: number | undefined, part: number): number {
  const count = Math.ceil(total / (partBytes ?? total))
  if (partBytes === undefined || part < 1 || part > count) throw wrongSize(0)
  return Math.min(partBytes, total - (part - 1) * partBytes)
}

async function* inOrder(
  parts: ReadonlyMap<number, Part>,
  count: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let part = 1; part <= count; part++) {
    const file = parts.get(part)
    if (file !== undefined) yield* file.read()
  }
}

const wrongSize = (expected: number): RegistryError =>
  new RegistryError('INVALID_REQUEST', 'A part has another size than it should.', {
    errors: [{ field: 'body', detail: `must have ${expected} bytes` }],
  })
