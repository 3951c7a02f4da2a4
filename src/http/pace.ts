import { RegistryError } from '../errors.ts'

export interface Pace {
  /** Over how long the rate is judged; also the longest silence. */
  readonly windowMs: number
  /** Below this an upload is ended; 0 asks only that something arrives. */
  readonly minBytesPerSecond: number
}

/**
 * Passes a body on while its sender keeps the pace. Only time spent waiting for the sender counts: a server
 * that is slow to take bytes ends nobody's upload.
 *
 * @throws {RegistryError} REQUEST_TIMEOUT.
 */
export async function* paced(
  body: AsyncIterable<Uint8Array>,
  { windowMs, minBytesPerSecond }: Pace,
): AsyncGenerator<Uint8Array, void, undefined> {
  const due = Math.max(1, (minBytesPerSecond * windowMs) / 1000)
  const iterator = body[Symbol.asyncIterator]()
  let waited = 0
  let bytes = 0
  let waitingSince: number | undefined
  let tooSlow: (error: RegistryError) => void = () => undefined
  const watch = setInterval(() => {
    const now = waited + (waitingSince === undefined ? 0 : performance.now() - waitingSince)
    if (now < windowMs) return
    if (bytes < due) {
      tooSlow(
        new RegistryError('REQUEST_TIMEOUT', 'The body arrives too slowly; nothing was kept.'),
      )
    }
    bytes = 0
    waited = 0
    if (waitingSince !== undefined) waitingSince = performance.now()
  }, windowMs / 4)
  try {
    for (;;) {
      waitingSince = performance.now()
      // Not a race against one promise for the whole body: that would keep every chunk alive until the end.
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        tooSlow = reject
        iterator.next().then(resolve, reject)
      })
      waited += performance.now() - waitingSince
      waitingSince = undefined
      if (next.done === true) return
      bytes += next.value.length
      yield next.value
    }
  } finally {
    clearInterval(watch)
    const returned = iterator.return?.()
    // A body that is waited for returns only when something comes, and from this one nothing may come.
    if (waitingSince === undefined) await returned
    else returned?.catch(() => undefined)
  }
}
