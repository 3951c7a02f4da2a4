/** Resolves when it is the caller's turn to keep the event loop busy for a moment. */
export type NextTurn = () => Promise<void>

/**
 * Lets a few through in each round of the event loop. A socket that takes everything at once would otherwise
 * keep the loop to itself, and a hundred of them would each have their megabyte copied before anybody else's
 * turn comes.
 */
export function createTurns(perRound: number): NextTurn {
  const waiting: (() => void)[] = []
  let scheduled = false

  function round(): void {
    for (const proceed of waiting.splice(0, perRound)) proceed()
    scheduled = waiting.length > 0
    if (scheduled) setImmediate(round)
  }

  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (scheduled) return
      scheduled = true
      setImmediate(round)
    })
}
