/** Takes so much of what all share; undefined where there is no more, or none for that one. Call the result to give it back. */
export type TakeShare = (who: string, amount?: number) => (() => void) | undefined

/** Of what many share nobody has more than a part, so that one of them can't keep it from all the others. */
export function createShares(total: number, each: number): TakeShare {
  const held = new Map<string, number>()
  let left = total

  return (who, amount = 1) => {
    const has = (held.get(who) ?? 0) + amount
    if (amount > left || has > each) return undefined
    held.set(who, has)
    left -= amount
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      left += amount
      const rest = (held.get(who) ?? 0) - amount
      if (rest > 0) held.set(who, rest)
      else held.delete(who)
    }
  }
}

/**
 * Takes a share, and where there is none lets go of what was left alone for too long, the oldest first.
 *
 * @param forgetOldest false when there is nothing like that
 */
export async function takeMakingRoom(
  take: () => (() => void) | undefined,
  forgetOldest: () => Promise<boolean>,
): Promise<(() => void) | undefined> {
  for (;;) {
    const leave = take()
    if (leave !== undefined) return leave
    if (!(await forgetOldest())) return undefined
  }
}

/** The key of what was used longest ago, and not since then, among what `isIdle` tells of. */
export function oldestIdle<T extends { readonly lastUsed: number }>(
  all: ReadonlyMap<string, T>,
  before: number,
  isIdle: (key: string, item: T) => boolean,
): string | undefined {
  const [oldest] = [...all]
    .filter(([key, item]) => item.lastUsed < before && isIdle(key, item))
    .sort(([, a], [, b]) => a.lastUsed - b.lastUsed)
  return oldest?.[0]
}
