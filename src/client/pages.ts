import { askJson, type Connection } from './connection.ts'
import { UntrustedError } from './failures.ts'
import type { Read } from './shapes.ts'

export interface Page {
  readonly next: string | null
}

/** The server's largest. */
const ITEMS_A_PAGE = 1000
/** A hundred million items: no list has more, and a server that makes cursors for ever is found out. */
const MOST_PAGES = 100_000

export interface List {
  /** Without its query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** The server may work long on a page. */
  readonly isPatient?: boolean
}

/** The pages of a list, one after the other; only one is held at a time. */
export async function* pagesOf<P extends Page>(
  connection: Connection,
  { path, query = {}, isPatient = false }: List,
  read: Read<P>,
): AsyncGenerator<P, void, undefined> {
  const asked = new URLSearchParams({ ...query, limit: String(ITEMS_A_PAGE) })
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const ask = { method: 'GET', path: `${path}?${asked.toString()}`, isPatient } as const
    const { document } = await askJson(connection, ask, read)
    yield document
    const { next } = document
    if (next === null) return
    if (next === asked.get('cursor')) throw endless()
    asked.set('cursor', next)
  }
  throw endless()
}

const endless = (): UntrustedError => new UntrustedError("The server's list has no end.")

/** The items of all pages. */
export async function* allOf<T>(
  connection: Connection,
  list: List,
  read: Read<Page & { readonly items: readonly T[] }>,
): AsyncGenerator<T, void, undefined> {
  for await (const { items } of pagesOf(connection, list, read)) yield* items
}

/** @throws {UntrustedError} where there are more items than the server said. */
export async function* atMost<T>(
  items: AsyncIterable<T>,
  most: number,
): AsyncGenerator<T, void, undefined> {
  let count = 0
  for await (const item of items) {
    count += 1
    if (count > most) throw endless()
    yield item
  }
}
