import { readFile, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from '../config.ts'
import { isWithin } from '../folders.ts'

const LEAST_BYTES = 32

/**
 * The key of the HMAC over the audit log's head; undefined where none is configured.
 *
 * @throws {ConfigError}
 */
export async function readAuditKey(
  file: string | undefined,
  ledgerFolder: string,
): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined
  let real: string
  let key: Buffer
  try {
    real = await realpath(file)
    key = await readFile(real)
  } catch (error) {
    throw new ConfigError([
      `STRONGROOM_AUDIT_KEY_FILE can't be read: ${error instanceof Error ? error.message : ''}`,
    ])
  }
  if (key.length < LEAST_BYTES)
    throw new ConfigError([`STRONGROOM_AUDIT_KEY_FILE must hold at least ${LEAST_BYTES} bytes`])
  if (isWithin(dirname(real), ledgerFolder)) {
    throw new ConfigError([
      'STRONGROOM_AUDIT_KEY_FILE must lie outside the ledger, or it proves nothing',
    ])
  }
  return key
}
