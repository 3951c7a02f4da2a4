import type { Category, Span } from './detector.ts'

/** What stands in for the spans of a category; those not named get the category in brackets, `[PERSONAL_NAME]`. */
export type RedactionLabels = Readonly<Partial<Record<Category, string>>>

/** The text with a label in place of each span. Spans are sorted and don't overlap; what lies between them stays as it is. */
export function redact(text: string, spans: readonly Span[], labels: RedactionLabels = {}): string {
  const parts: string[] = []
  let kept = 0
  for (const { category, start, end } of spans) {
    parts.push(text.slice(kept, start), labels[category] ?? `[${category.toUpperCase()}]`)
    kept = end
  }
  return parts.join('') + text.slice(kept)
}
