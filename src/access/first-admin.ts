import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ledger } from '../../db/ledger.ts'
import { newTokenSecret, tokenDigest } from './tokens.ts'

/** How the operator learns of the admin token that was made: nothing else ever shows it. */
export interface Announce {
  /** Standard error is a terminal that a person reads. */
  readonly isTerminal: boolean
  readonly say: (line: string) => void
  readonly warn: (line: string) => void
}

/** Gives an empty ledger its first admin token: the configured one, or a random one that is told once. */
export async function ensureFirstAdmin(
  ledger: Ledger,
  ledgerFolder: string,
  configured: string | undefined,
  { isTerminal, say, warn }: Announce,
): Promise<void> {
  const tokens = await ledger.listTokens()
  if (tokens.length > 0) {
    if (configured === undefined) return
    const known = await ledger.findToken(tokenDigest(configured))
    if (known === undefined || tokens.length > 1) {
      warn('STRONGROOM_ADMIN_TOKEN is ignored: the ledger has other tokens')
    }
    return
  }
  const secret = configured ?? newTokenSecret()
  const path = join(ledgerFolder, 'admin-token')
  // The file comes first: a token that is in the ledger but was told nobody would lock everyone out.
  if (configured === undefined && !isTerminal) await writeSecret(path, secret)
  await ledger.createToken(
    {
      id: randomUUID(),
      sha256: tokenDigest(secret),
      name: 'admin',
      role: 'admin',
      scope: '*',
      createdBy: undefined,
      expiresAt: undefined,
    },
    {
      action: 'token.create',
      outcome: 'ok',
      details: { name: 'admin', role: 'admin', scope: '*' },
    },
  )
  if (configured !== undefined) return
  if (isTerminal) {
    say(`\nThe admin token of this registry, shown this once:\n\n  ${secret}\n`)
  } else {
    say(`The admin token of this registry is in ${path}`)
  }
}

async function writeSecret(path: string, secret: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(`${secret}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}
