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
