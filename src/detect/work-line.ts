import { RegistryError } from '../errors.ts'

const RETRY_AFTER_SECONDS = 1

export interface WorkSize {
  readonly texts: number
  readonly codePoints: number
}

/** What is being judged or waits for it, all of which lies in memory. */
export interface WorkLine {
  /**
   * Call the result when the work is no longer there.
   *
   * @throws {RegistryError} TOO_MANY_REQUESTS where there is no room; alone in the line, anything has.
   */
  readonly enter: (size: WorkSize) => () => void
  readonly now: () => WorkSize
}

export function createWorkLine(most: WorkSize): WorkLine {
  let texts = 0
  let codePoints = 0
  return {
    enter: (size) => {
      const fits =
        texts + size.texts <= most.texts && codePoints + size.codePoints <= most.codePoints
      if (texts > 0 && !fits)
        throw new RegistryError('TOO_MANY_REQUESTS', 'As much as may be waits to be judged.', {
          retry_after: RETRY_AFTER_SECONDS,
        })
      texts += size.texts
      codePoints += size.codePoints
      let isIn = true
      return () => {
        if (!isIn) return
        isIn = false
        texts -= size.texts
        codePoints -= size.codePoints
      }
    },
    now: () => ({ texts, codePoints }),
  }
}
