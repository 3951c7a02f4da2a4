import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = join(import.meta.dirname, '../../training/data/texts')
const MARK = /⟦[a-z_]+\|([^⟦⟧]+)⟧/gu

/** The languages of the repository's own texts. */
export const LANGUAGES = ['en', 'de', 'fr', 'es', 'ja'] as const
export type Language = (typeof LANGUAGES)[number]

/** The texts that the default detector was trained on, one after the other, cut into pieces of so many code points. */
export function ownTexts(language: Language, codePoints: number, count: number): readonly string[] {
  const lines = readdirSync(FOLDER)
    .filter((file) => file.startsWith(`${language}-`))
    .toSorted()
    .flatMap((file) => readFileSync(join(FOLDER, file), 'utf8').trim().split('\n'))
  const all = lines.map((line) =>
    (JSON.parse(line) as { marked: string }).marked.replace(MARK, '$1'),
  )
  const points = Array.from(all.join('\n\n'))
  return Array.from({ length: count }, (_, i) =>
    points.slice(i * codePoints, (i + 1) * codePoints).join(''),
  ).filter((text) => text.length >= codePoints)
}
