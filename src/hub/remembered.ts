import { LRUCache } from 'lru-cache'

/** Computes what belongs to a key once, for as many keys as were asked for last; what failed is tried again. */
export function remembered<T>(max: number) {
  const known = new LRUCache<string, Promise<T>>({ max })
  return (key: string, compute: () => Promise<T>): Promise<T> => {
    const before = known.get(key)
    if (before !== undefined) return before
    const computing = compute().catch((error: unknown) => {
      known.delete(key)
      throw error
    })
    known.set(key, computing)
    return computing
  }
}
