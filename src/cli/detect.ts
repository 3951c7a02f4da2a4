import type { Command } from 'commander'
import type { Connection } from '../client/connection.ts'
import { detectIn, type DetectOptions, type FoundSpan } from '../client/detect.ts'
import { RefusedError } from '../client/failures.ts'
import { LocalError } from '../client/local-failure.ts'
import { CATEGORIES, type Category } from '../detect/detector.ts'
import { addClientOptions, type ClientOptions, collected, connect } from './client-options.ts'
import { type Input, inputsOf } from './detect-inputs.ts'
import {
  createDetectDocument,
  createRedactedText,
  createSpanLines,
  type DetectOutput,
  type Stretch,
} from './detect-output.ts'
import { type Piece, piecesOf } from './detect-pieces.ts'
import { tellOf } from './report.ts'
import { type ExitCode, type Shell, UsageError } from './shell.ts'

interface Options extends ClientOptions {
  readonly file: readonly string[]
  readonly redact?: boolean
  readonly threshold?: string
  readonly categories?: string
  readonly language?: string
  readonly explain?: boolean
  readonly includeText?: boolean
}

/** Of one request: what a registry takes, and judges well before its deadline. */
const TEXTS_A_REQUEST = 16

const HELP = `
  detect 'Mail jane@example.org'     a text
  detect --file a.txt b.csv          files: file:line:column: category confidence
  detect --redact < in.txt > out.txt
  git diff --cached -U0 | sed -n 's/^+//p' | strongroom detect
                                     what a commit would add, as a hook before it

Ends with 0 where nothing was found, and with 1 where something was, also with --redact; with 2 for wrong use, such as a
file that isn't there or isn't text in UTF-8; with 3 where it can't be said, such as where the registry refuses or doesn't
answer. A file that can't be read stops no other from being judged, and the command ends with 2 then, whatever was found
in the others; a registry that gives no answer ends it at once. Standard error says why.

What was found is shown on a terminal; elsewhere, such as in the log of a build, only with --include-text. Columns count
characters from 1.`

/** `strongroom detect [TEXT]`. */
export function addDetect(program: Command, shell: Shell): void {
  const command = program
    .command('detect')
    .description('find personal data in a text, in files or in standard input')
    .argument('[text]', 'standard input where it is - or absent')
    .option(
      '-f, --file <path...>',
      'judge files: all that follow, up to an option or --',
      collected,
      [],
    )
    .option('--redact', 'print the text with a label in place of each span')
    .option('--threshold <confidence>', 'from 0 to 1 (0.8)')
    .option('--categories <names>', `only these, with commas between: ${CATEGORIES.join(',')}`)
    .option('--language <code>', 'the text’s, such as en')
    .option('--explain', 'the latents that speak most for each span')
    .option('--include-text', 'show what was found')
    .addHelpText('after', HELP)
  addClientOptions(command).action(async (text: string | undefined, options: Options) => {
    const wanted = wantedOf(options)
    const connection = connect(options, shell)
    const inputs = await inputsOf(text, options.file)
    const output = outputOf(options, shell)
    shell.end(await judgeAll(inputs))

    /** How to exit: the greatest code of an input's. */
    async function judgeAll(given: readonly Input[]): Promise<ExitCode> {
      let worst: ExitCode = 0
      for (const input of given) {
        try {
          if ((await judge(input)) && worst === 0) worst = 1
        } catch (error) {
          const { exitCode, document } = tellOf(error, shell, options.json === true)
          // Of a registry that doesn't answer, the others would have no answer either.
          if (!(error instanceof LocalError)) return isWrongUse(error) ? 2 : 3
          worst = worst === 3 || exitCode !== 2 ? 3 : 2
          output.failInput(input, document)
        }
      }
      output.end()
      return worst
    }

    /** Whether something was found. */
    async function judge(input: Input): Promise<boolean> {
      let isFound = false
      for await (const stretch of judged(connection, input, wanted)) {
        isFound ||= stretch.spans.length > 0
        await output.add(stretch)
      }
      output.endInput(input)
      return isFound
    }
  })
}

/** A language that the detector doesn't know: what else could be wrong is refused before it is asked. */
const isWrongUse = (error: unknown): boolean =>
  error instanceof RefusedError && error.code === 'INVALID_REQUEST'

function outputOf(
  { json = false, redact = false, includeText = false }: Options,
  shell: Shell,
): DetectOutput {
  if (json) return createDetectDocument(shell, { withText: includeText, redacts: redact })
  if (redact) return createRedactedText(shell)
  return createSpanLines(shell, { withText: includeText || shell.isRead })
}

/** @throws {UsageError} */
function wantedOf({ threshold, categories, language, explain }: Options): DetectOptions {
  return {
    threshold: threshold === undefined ? undefined : parseThreshold(threshold),
    categories: categories?.split(',').map(parseCategory),
    language,
    explain: explain === true,
  }
}

function parseThreshold(text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN
  if (!(value >= 0 && value <= 1)) throw new UsageError('--threshold wants a number from 0 to 1.')
  return value
}

function parseCategory(text: string): Category {
  const found = CATEGORIES.find((name) => name === text)
  if (found === undefined) throw new UsageError(`${text}: must be one of ${CATEGORIES.join(', ')}.`)
  return found
}

/** The input from its first character to its last, in stretches that are judged. */
async function* judged(
  connection: Connection,
  { file, parts }: Input,
  options: DetectOptions,
): AsyncGenerator<Stretch, void, undefined> {
  let told = 0
  for await (const pieces of batchesOf(piecesOf(parts))) {
    const texts = pieces.map(({ text }) => text)
    const found = await detectIn(connection, texts, options)
    for (const [i, { text, begin, keepTo }] of pieces.entries()) {
      const { spans = [], model = '' } = found[i] ?? {}
      const own = ownSpans(spans, { begin, keepTo, told })
      const end = Math.max(keepTo, own.at(-1)?.end ?? 0)
      yield { file, text: text.slice(told - begin, end - begin), begin: told, spans: own, model }
      told = end
    }
  }
}

/** Those that a piece is to tell, in places of the whole: what its neighbour told already isn't told again. */
function ownSpans(
  spans: readonly FoundSpan[],
  { begin, keepTo, told }: { begin: number; keepTo: number; told: number },
): readonly FoundSpan[] {
  return spans
    .map((span) => ({ ...span, start: span.start + begin, end: span.end + begin }))
    .filter(({ start }) => start >= told && start < keepTo)
}

async function* batchesOf(
  pieces: AsyncIterable<Piece>,
): AsyncGenerator<readonly Piece[], void, undefined> {
  let batch: Piece[] = []
  for await (const piece of pieces) {
    batch.push(piece)
    if (batch.length < TEXTS_A_REQUEST) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
