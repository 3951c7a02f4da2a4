/** What takes items as they come is given just this one. */
export async function* one<T>(item: T): AsyncGenerator<T, void, undefined> {
  yield await Promise.resolve(item)
}

export async function* none(): AsyncGenerator<never, void, undefined> {
  // Nothing comes.
}
