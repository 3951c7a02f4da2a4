/** Does what is asked under one key one after the other, in the order in which it was asked. */
export function oneByOne() {
  const last = new Map<string, Promise<unknown>>()
  return async <T>(key: string, act: () => Promise<T>): Promise<T> => {
    const before = last.get(key)
    const doing = before === undefined ? act() : before.then(act)
    const over = doing.catch(() => undefined)
    last.set(key, over)
    try {
      return await doing
    } finally {
      if (last.get(key) === over) last.delete(key)
    }
  }
}
