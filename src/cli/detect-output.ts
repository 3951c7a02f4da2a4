import type { FoundSpan } from '../client/detect.ts'
import { redact } from '../detect/redact.ts'
import type { Input } from './detect-inputs.ts'
import type { Shell } from './shell.ts'
import { printable } from './words.ts'

/** A stretch of an input that is judged for good. Its spans lie in it; their places are UTF-16 units of the input. */
export interface Stretch {
  readonly file: string | undefined
  readonly text: string
  readonly begin: number
  readonly spans: readonly FoundSpan[]
  readonly model: string
}

/** Takes the stretches of all inputs, one after the other. */
export interface DetectOutput {
  readonly add: (stretch: Stretch) => Promise<void> | void
  /** An input is over. */
  readonly endInput: (input: Input) => void
  /** An input could not be read to its end; standard error has said why. */
  readonly failInput: (input: Input, why: Readonly<Record<string, unknown>>) => void
  readonly end: () => void
}

interface Place {
  readonly line: number
  /** Of code points, from 1. */
  readonly column: number
}

/** Tells where places of a text lie that come in ascending order, stretch by stretch. */
function createPlaces(): (text: string, to: number) => Place {
  let line = 1
  let column = 1
  return (text, to) => {
    for (const character of text.slice(0, to)) {
      column += 1
      if (character !== '\n') continue
      line += 1
      column = 1
    }
    return { line, column }
  }
}

/** Each span with where it is, in the order of the text. */
function createLocate(): (stretch: Stretch) => readonly (FoundSpan & Place & { text: string })[] {
  const advance = createPlaces()
  return ({ text, begin, spans }) => {
    let at = 0
    const located = spans.map((span) => {
      const place = advance(text.slice(at), span.start - begin - at)
      at = span.start - begin
      return { ...span, ...place, text: text.slice(at, span.end - begin) }
    })
    advance(text.slice(at), text.length - at)
    return located
  }
}

/** A line a span, as grep has it: `file:line:column: category confidence text`. */
export function createSpanLines({ say }: Shell, options: { withText: boolean }): DetectOutput {
  let locate = createLocate()
  return {
    add: (stretch) => {
      for (const { line, column, category, confidence, text, latents } of locate(stretch)) {
        const where = [stretch.file, line, column].filter((part) => part !== undefined).join(':')
        const words = [category, confidence.toFixed(2), ...(options.withText ? [text] : [])]
        say(printable(`${where}: ${words.join(' ')}`))
        for (const { latent, activation, weight } of latents ?? [])
          say(
            `  latent ${latent}: activation ${activation.toPrecision(3)}, weight ${weight.toPrecision(3)}`,
          )
      }
    },
    endInput: () => {
      locate = createLocate()
    },
    failInput: () => {
      locate = createLocate()
    },
    end: () => undefined,
  }
}

/** The text itself, with a label in place of each span. */
export function createRedactedText({ pour, say }: Shell): DetectOutput {
  return {
    add: (stretch) => pour(single(Buffer.from(redactedOf(stretch)))),
    endInput: ({ isTyped }) => {
      if (isTyped) say('')
    },
    failInput: () => undefined,
    end: () => undefined,
  }
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.resolve(bytes)
}

const redactedOf = ({ text, begin, spans }: Stretch): string =>
  redact(
    text,
    spans.map(({ category, start, end }) => ({ category, start: start - begin, end: end - begin })),
  )

/** One document for a program. */
export function createDetectDocument(
  { say }: Shell,
  options: { readonly withText: boolean; readonly redacts: boolean },
): DetectOutput {
  const inputs: object[] = []
  const models = new Set<string>()
  let locate = createLocate()
  let spans: object[] = []
  let redacted: string[] = []
  let total = 0
  let hasFailed = false
  const reset = (): void => {
    total += spans.length
    locate = createLocate()
    spans = []
    redacted = []
  }
  return {
    add: (stretch) => {
      models.add(stretch.model)
      for (const { text, ...span } of locate(stretch))
        spans.push(options.withText ? { ...span, text } : span)
      if (options.redacts) redacted.push(redactedOf(stretch))
    },
    endInput: ({ file }) => {
      const text = options.redacts ? { redacted_text: redacted.join('') } : {}
      inputs.push({ file: file ?? null, pii_spans: spans, ...text })
      reset()
    },
    // What was found before is no answer for the file.
    failInput: ({ file }, error) => {
      inputs.push({ file: file ?? null, error })
      hasFailed = true
      reset()
    },
    end: () => {
      const document = {
        has_pii: total > 0 || (hasFailed ? null : false),
        offset_encoding: 'utf16',
        model_versions: [...models],
        inputs,
      }
      say(JSON.stringify(document, null, 2))
    },
  }
}
