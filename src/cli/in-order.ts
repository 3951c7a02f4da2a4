/** Works on up to `width` items at once and gives what comes of them in the items' order. */
export async function* inOrder<Item, Done>(
  items: AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<Done>,
): AsyncGenerator<Done, void, undefined> {
  const under: Promise<Done>[] = []
  for await (const item of items) {
    const done = work(item)
    // It is looked at when its turn comes.
    done.catch(() => undefined)
    under.push(done)
    const first = under.length < width ? undefined : under.shift()
    if (first !== undefined) yield await first
  }
  for (const done of under) yield await done
}
