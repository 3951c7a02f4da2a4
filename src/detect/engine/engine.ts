import { RegistryError } from '../../errors.ts'
import type { Detection } from '../detection.ts'
import { startProcess } from './child-process.ts'
import type { EngineFacts, EngineSettings, FromChild, LoadFailure, Work } from './messages.ts'

/** Loading takes seconds; a machine that takes this long does something else. */
const LOAD_TIMEOUT_MS = 120_000
const CHECKS_OF_SILENCE = 4

/** Why a detector isn't loaded; the message is for the log. */
export class LoadFailed extends Error {
  readonly failure: LoadFailure

  constructor(failure: LoadFailure, why: string, cause?: unknown) {
    super(why, cause === undefined ? undefined : { cause })
    this.name = 'LoadFailed'
    this.failure = failure
  }
}

/** One detector, loaded, in a process of its own. */
export interface Engine {
  readonly facts: EngineFacts
  readonly pid: number | undefined
  /**
   * One detection a text, in order.
   *
   * @param signal drops the work; its reason is thrown.
   * @param onFree is called once the process has let go of the work, which may be later than the answer.
   * @throws {RegistryError} DETECTOR_UNAVAILABLE, DETECTION_FAILED, INVALID_REQUEST.
   */
  readonly detect: (
    work: Work,
    signal: AbortSignal,
    onFree: () => void,
  ) => Promise<readonly Detection[]>
  /** Resolves when the process is gone, with how. */
  readonly ended: Promise<string>
  /** Ends the process when what it works on is done. */
  readonly retire: () => Promise<void>
  /** Ends the process now; what it works on fails. */
  readonly close: () => Promise<void>
}

interface Pending {
  readonly results: Map<number, Detection>
  readonly count: number
  readonly resolve: (results: readonly Detection[]) => void
  readonly reject: (error: unknown) => void
  readonly free: () => void
}

export interface EngineOptions {
  readonly settings: EngineSettings
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
  /** The detector's, each of them checked. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** A process with work that says nothing for so long is killed. */
  readonly silenceMs: number
  readonly onRun: (chunks: number, seconds: number) => void
  /** Places in our code where work failed that should not. */
  readonly onFault: (frames: string | undefined) => void
}

/**
 * Starts a process, feeds it the detector, and waits until that is warmed up and found right.
 *
 * @throws {LoadFailed} or what reading the bytes failed with.
 */
export async function startEngine(options: EngineOptions, signal: AbortSignal): Promise<Engine> {
  const { settings, sizeBytes, sha256, silenceMs, onRun, onFault } = options
  const pending = new Map<number, Pending>()
  let lastId = 0
  let hasEnded = false
  let heard = 0
  let retired: (() => void) | undefined
  let loaded: (facts: EngineFacts) => void = () => undefined
  let refused: (error: unknown) => void = () => undefined
  const loading = new Promise<EngineFacts>((resolve, reject) => {
    loaded = resolve
    refused = reject
  })
  // Whoever gives up before it waits for this has been told already.
  loading.catch(() => undefined)

  const child = startProcess((message) => {
    heard += 1
    hear(message)
  })

  function hear(message: FromChild): void {
    switch (message.kind) {
      case 'loaded':
        loaded(message.facts)
        return
      case 'refused':
        refused(new LoadFailed(message.failure, message.why))
        return
      case 'ran':
        onRun(message.chunks, message.seconds)
        return
      case 'result':
        pending.get(message.id)?.results.set(message.index, message.detection)
        return
      case 'done':
        settle(message.id, ({ results, count, resolve, reject }) => {
          const found = Array.from({ length: count }, (_, i) => results.get(i) ?? [])
          // Nothing found is something that was said; nothing said never stands for it.
          if (results.size < count) reject(errorOf('fault'))
          else resolve(found.flat())
        })
        return
      case 'failed':
        if (message.failure === 'fault') onFault(message.frames)
        settle(message.id, ({ reject }) => {
          reject(errorOf(message.failure))
        })
        return
      case 'dropped':
        settle(message.id, () => undefined)
    }
  }

  function settle(id: number, tell: (pending: Pending) => void): void {
    const found = pending.get(id)
    if (found === undefined) return
    pending.delete(id)
    found.free()
    tell(found)
    if (pending.size === 0) retired?.()
  }

  void child.ended.then((how) => {
    hasEnded = true
    clearInterval(watch)
    refused(new LoadFailed('ended', how))
    for (const id of [...pending.keys()])
      settle(id, ({ reject }) => {
        reject(engineEnded())
      })
    retired?.()
  })

  let heardBefore = -1
  let silent = 0
  // Counted in checks rather than by the clock: a machine that slept has missed both.
  const watch = setInterval(() => {
    silent = pending.size > 0 && heard === heardBefore ? silent + 1 : 0
    heardBefore = heard
    if (silent >= CHECKS_OF_SILENCE) child.kill()
    else if (pending.size > 0) child.send({ kind: 'ask' })
  }, silenceMs / CHECKS_OF_SILENCE)
  watch.unref()

  function detect(
    work: Work,
    signal: AbortSignal,
    onFree: () => void,
  ): Promise<readonly Detection[]> {
    if (hasEnded) {
      onFree()
      return Promise.reject(engineEnded())
    }
    lastId += 1
    const id = lastId
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason as Error)
        child.send({ kind: 'drop', id })
      }
      const free = (): void => {
        signal.removeEventListener('abort', onAbort)
        onFree()
      }
      const count = work.kind === 'texts' ? work.texts.length : 1
      pending.set(id, { results: new Map(), count, resolve, reject, free })
      child.send({ kind: 'work', id, work })
      signal.addEventListener('abort', onAbort)
    })
  }

  const abort = (): void => {
    refused(signal.reason)
  }
  signal.addEventListener('abort', abort)
  const timer = setTimeout(() => {
    refused(new LoadFailed('ended', 'it took too long to load'))
  }, LOAD_TIMEOUT_MS)
  try {
    signal.throwIfAborted()
    child.send({ kind: 'load', sizeBytes, sha256, ...settings })
    child.feed(options.bytes).catch(refused)
    const facts = await loading
    return {
      facts,
      pid: child.pid,
      detect,
      ended: child.ended,
      retire: async () => {
        const isIdle = new Promise<void>((resolve) => {
          retired = resolve
        })
        if (pending.size > 0) await isIdle
        await child.release()
      },
      close: child.release,
    }
  } catch (error) {
    child.kill()
    await child.ended
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

const engineEnded = (): RegistryError =>
  new RegistryError('DETECTOR_UNAVAILABLE', 'The detector’s process ended; it is started again.', {
    why: 'engine_ended',
    retry_after: 1,
  })

function errorOf(failure: Extract<FromChild, { kind: 'failed' }>['failure']): RegistryError {
  switch (failure) {
    case 'input_not_finite':
      return new RegistryError('INVALID_REQUEST', 'The activations are not valid.', {
        errors: [{ field: 'body.activations', detail: 'must be finite numbers' }],
      })
    case 'not_finite':
    case 'fault':
      return new RegistryError('DETECTION_FAILED', 'The detector could not judge this.')
  }
}
