/** Lets a bounded amount through at a time; the rest waits, first come first served. */
export interface Gate {
  /** Resolves once `amount` is through; call the result to let it out again. More than the capacity counts as all of it. */
  enter: (amount?: number) => Promise<() => void>
  /** The same without waiting; undefined when there is no room. */
  tryEnter: (amount?: number) => (() => void) | undefined
  readonly waiting: () => number
}

export function createGate(capacity: number): Gate {
  const queue: { readonly amount: number; readonly open: () => void }[] = []
  let room = capacity

  function leave(amount: number): () => void {
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      room += amount
      for (let first = queue[0]; first !== undefined && first.amount <= room; first = queue[0]) {
        queue.shift()
        room -= first.amount
        first.open()
      }
    }
  }

  function tryEnter(wanted = 1): (() => void) | undefined {
    const amount = Math.min(wanted, capacity)
    if (queue.length > 0 || amount > room) return undefined
    room -= amount
    return leave(amount)
  }

  return {
    enter: (wanted = 1) => {
      const now = tryEnter(wanted)
      if (now !== undefined) return Promise.resolve(now)
      const amount = Math.min(wanted, capacity)
      return new Promise((resolve) => {
        queue.push({
          amount,
          open: () => {
            resolve(leave(amount))
          },
        })
      })
    },
    tryEnter,
    waiting: () => queue.length,
  }
}
