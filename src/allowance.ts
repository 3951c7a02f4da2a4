import { RegistryError } from './errors.ts'

/** What one caller has of an amount that all share. */
export interface Share {
  /** @throws {RegistryError} TOO_LARGE for more than there ever is; TOO_MANY_REQUESTS while others have it. */
  readonly take: (amount: number) => void
  /** Gives back all but this much; nothing, from then on, when it is 0. */
  readonly keep: (amount: number) => void
}

/** An amount, of memory for one, of which callers take more and more until they are done. None of them ever waits. */
export function createAllowance(capacity: number, retryAfterSeconds: number): () => Share {
  let left = capacity
  return () => {
    let held = 0
    return {
      take: (amount) => {
        if (held + amount > capacity)
          throw new RegistryError('TOO_LARGE', 'The answer needs more memory than it may have.', {
            limit: capacity,
          })
        if (amount > left)
          throw new RegistryError('TOO_MANY_REQUESTS', 'Others are using the memory for this.', {
            retry_after: retryAfterSeconds,
          })
        held += amount
        left -= amount
      },
      keep: (amount) => {
        left += Math.max(0, held - amount)
        held = Math.min(held, amount)
      },
    }
  }
}
