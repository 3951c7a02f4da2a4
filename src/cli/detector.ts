import { type Command, Option } from 'commander'
import { readFile } from 'node:fs/promises'
import { onDisk } from '../client/disk.ts'
import { writeNewFile } from '../client/new-file.ts'
import type { Category, Detector } from '../detect/detector.ts'
import { readClassifierFile } from '../detect/formats/classifier-file.ts'
import { findSae } from '../detect/formats/find-sae.ts'
import { importDetector } from '../detect/formats/import-detector.ts'
import { openSae } from '../detect/formats/open-sae.ts'
import { FAMILIES, type Family } from '../detect/formats/sae.ts'
import { openDetector } from '../detect/open-detector.ts'
import { collected, jsonOption } from './client-options.ts'
import { checkNames, parseLabels, parseThresholds, thresholdOf } from './import-names.ts'
import { createBar } from './progress.ts'
import { type Shell, UsageError } from './shell.ts'
import { bytesInWords, counted, grouped, printable, table } from './words.ts'

interface ImportFlags {
  readonly classifiers: readonly string[]
  readonly output: string
  readonly family: Family | 'auto'
  readonly label: readonly string[]
  readonly threshold: readonly string[]
  readonly language: readonly string[]
  readonly description?: string
  readonly inputScale?: number
  readonly k?: number
  readonly subtractDecoderBias?: boolean
  readonly host?: string
  readonly json?: boolean
}

const HELP = `
A label is what a detector calls a class: none, personal_name, address, phone, email, one of these four with .begin or
.inside, or other.NAME. docs/bring-your-own-sae.md has the families, what is folded, and an example.`

const INSPECT_HELP = `
Golden texts are what a detector must find on the machine that it is to run on. Only a server checks them: when it loads
the detector, and before it serves it.`

/** `strongroom detector import|inspect`. */
export function addDetector(program: Command, shell: Shell): void {
  const command = program.command('detector').description('make a detector, or look at one')
  addImport(command, shell)
  addInspect(command, shell)
}

function addImport(command: Command, shell: Shell): void {
  command
    .command('import')
    .description('make a detector of a sparse autoencoder of yours and classifiers on its latents')
    .argument('<sae>', 'its folder, or its file of weights')
    .requiredOption('--classifiers <file...>', 'written by training/export_classifiers.py')
    .requiredOption('-o, --output <file>', 'the detector')
    .addOption(
      new Option('--family <family>', 'how the autoencoder is kept')
        .choices(['auto', ...FAMILIES])
        .default('auto'),
    ) // prettier-ignore
    .option('--label <class=label>', 'what a class is here; may be repeated', collected, [])
    .option(
      '--threshold <[category=]p>',
      'mean probability from which a span is one, 0.5 unless told; may be repeated',
      collected,
      [],
    ) // prettier-ignore
    .option('--language <code>', 'that callers may name; may be repeated', collected, [])
    .option('--description <line>', 'shown with the detector')
    .addOption(
      new Option('--input-scale <factor>', 'activations are multiplied by it first').argParser(
        Number,
      ),
    ) // prettier-ignore
    .addOption(
      new Option('--k <count>', 'latents that stay of a state dict: 64 unless told').argParser(
        Number,
      ),
    ) // prettier-ignore
    .option('--subtract-decoder-bias', 'of a state dict: take it off the activation first')
    .option('--host <detector>', 'a detector whose host and tokenizer read text for this one')
    .addOption(jsonOption())
    .addHelpText('after', HELP)
    .action((given: string, flags: ImportFlags) => runImport(given, flags, shell))
}

async function runImport(given: string, flags: ImportFlags, shell: Shell): Promise<void> {
  const { json, output, family } = flags
  const labels = parseLabels(flags.label)
  const thresholds = parseThresholds(flags.threshold)
  const asked = {
    labels,
    thresholds: (category: Category) => thresholdOf(thresholds, category),
    description: flags.description ?? 'Made from a sparse autoencoder and classifiers of their own',
    languages: flags.language.length === 0 ? ['und'] : flags.language,
  }
  const options = saeOptionsOf(flags)
  const files = await findSae(given, family === 'auto' ? undefined : family)
  const classifiers = []
  for (const path of flags.classifiers) classifiers.push(await readClassifierFile(path))
  checkNames(classifiers, labels, thresholds)
  const host = flags.host === undefined ? undefined : await readDetector(flags.host)
  const { sae, close } = await openSae(files, options)
  try {
    const { detector, fileBytes, chunks } = importDetector({ ...asked, sae, classifiers, host })
    const bar = createBar(shell, 'writing', fileBytes)
    try {
      await writeNewFile(output, counting(chunks(), bar.add))
    } finally {
      bar.end()
    }
    tell(shell, output, detector, json)
  } finally {
    await close()
  }
}

async function* counting(
  chunks: AsyncIterable<Uint8Array>,
  add: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk
    add(chunk.length)
  }
}

/** @throws {UsageError} */
function saeOptionsOf({
  family,
  inputScale,
  k,
  subtractDecoderBias,
}: ImportFlags): Parameters<typeof openSae>[1] {
  if (family !== 'state-dict' && (k !== undefined || subtractDecoderBias === true))
    throw new UsageError(
      '--k and --subtract-decoder-bias are for --family state-dict: others say it themselves.',
    )
  if (inputScale !== undefined && !(inputScale > 1e-12 && inputScale < 1e12))
    throw new UsageError('--input-scale wants a positive number.')
  return { inputScale, k, decoderBias: subtractDecoderBias === true ? 'subtracted' : 'kept' }
}

function addInspect(command: Command, shell: Shell): void {
  command
    .command('inspect')
    .description(
      'check a detector’s file as the server would, but for its golden texts, and say what it is',
    )
    .argument('<file>')
    .addHelpText('after', INSPECT_HELP)
    .addOption(jsonOption())
    .action(async (path: string, { json }: { readonly json?: boolean }) => {
      tell(shell, path, await readDetector(path), json)
    })
}

async function readDetector(path: string): Promise<Detector> {
  return openDetector(await onDisk(path, () => readFile(path)))
}

function tell(shell: Shell, path: string, { settings, tensors }: Detector, json = false): void {
  const { description, languages, text, sae, classifiers, decoding, golden, scores } = settings
  if (json) {
    const document = { file: path, description, languages, reads_text: text !== undefined, sae, classifiers, decoding, golden_texts: golden.length, scores } // prettier-ignore
    shell.say(JSON.stringify(document, null, 2))
    return
  }
  const { dtype = '', shape = [] } = tensors.get('sae.encoder.weight') ?? {}
  const size = shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 2)
  const rows = [
    ['description', description],
    ['languages', languages.join(', ')],
    ['reads', text === undefined ? 'activations only' : 'text and activations'],
    ['sae', `${sae.architecture}${sae.k === undefined ? '' : ` ${sae.k}`}, ${grouped(sae.dModel)} to ${counted(sae.width, 'latent')}, ${grouped(sae.rows)} kept`], // prettier-ignore
    ['encoder', `${dtype}, ${bytesInWords(size)}`],
    ...classifiers.map(({ kind, link, labels }) => ['classifier', `${kind}, ${link}: ${labels.join(', ')}`]), // prettier-ignore
    ...Object.entries(decoding.categories).map(([name, { threshold }]) => ['threshold', `${name} ${threshold}`]), // prettier-ignore
    ['golden', golden.length === 0 ? 'no texts' : `${counted(golden.length, 'text')}, checked by the server only`], // prettier-ignore
  ]
  shell.say(`${printable(path)} is a detector\n${table(rows).replace(/^/gm, '  ')}`)
}
