import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const SHIPPED = join(import.meta.dirname, '../../detector/pii.safetensors')

export interface DetectorFile {
  readonly bytes: Uint8Array
  /** Hex. */
  readonly sha256: string
}

/** Ends the program, with a sentence, where there is none. */
export function readDetector(path: string): DetectorFile {
  if (!existsSync(path)) {
    console.error(`There is no detector ${path}: name one with --detector FILE.`)
    process.exit(2)
  }
  const bytes = readFileSync(path)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const megabytes = (bytes.length / 1e6).toFixed(1)
  console.log(`detector: ${megabytes} MB, SHA-256 ${sha256}`)
  return { bytes, sha256 }
}
