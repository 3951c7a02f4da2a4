import { readdirSync } from 'node:fs'

interface Told {
  readonly source: string
  readonly outcome: string
  readonly target: string | null
  readonly error: string | null
  readonly [key: string]: unknown
}

interface Document {
  readonly files: readonly Told[]
  readonly totals: Readonly<Record<string, number>>
}

/** What `--json` gave. */
export const document = (stdout: string): Document => JSON.parse(stdout) as Document

/** What a folder holds, links to folders followed. */
export const names = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
