import type { Database } from 'better-sqlite3'

/** Which vault the ledger's blobs are in. */
export function vaultBinding(db: Database) {
  const get = db.prepare<[], string>('SELECT identity FROM vault WHERE id = 1').pluck()
  const insert = db.prepare<{ identity: string }>(
    'INSERT INTO vault (id, identity) VALUES (1, @identity)',
  )
  return {
    identity: (): string | undefined => get.get(),
    bind: (identity: string): void => {
      insert.run({ identity })
    },
  }
}
