import type { Provider } from '../detection.ts'
import type { ReadsText } from '../detector.ts'
import type { Encoded } from '../tokenizer/encoded.ts'
import type { Window } from '../windows.ts'
import type { Latents } from './latents.ts'
import type { Input, Session } from './session.ts'

/** Thrown where the model said NaN or infinity: never taken for "nothing found". */
export class NotFinite extends Error {
  constructor() {
    super('NaN or infinity')
  }
}

/** A text whose windows are on their way through the model. */
export interface OpenText {
  readonly encoded: Encoded
  readonly features: Uint8Array
  /** `[pieces, labels]`, filled window by window. */
  readonly probabilities: Float32Array
  /** With `explain` only. */
  readonly latents: Latents | undefined
}

export interface TextChunk {
  readonly text: OpenText
  readonly window: Window
  /** Called once all that the window keeps is in the text's arrays. */
  readonly done: () => void
  readonly fail: (error: unknown) => void
}

/** Runs take lengths that are multiples of this, so that there are few different ones. */
const STEP = 16
/** A shorter window goes along with a longer one where no more than a quarter of its row is padding. */
const LEAST_FILLED = 0.75
/** Of the largest array of one inference, in numbers: 2 MB where more would leave a core's own cache, 256 MB elsewhere. */
const MOST_NUMBERS: Readonly<Record<Provider, number>> = {
  cpu: 512 * 1024,
  cuda: 64 * 1024 * 1024,
  webgpu: 64 * 1024 * 1024,
}

export interface TextRunner {
  /** Groups that may run at once. */
  readonly lanes: number
  /** Those that go through the model in one inference, of similar lengths. */
  readonly groupsOf: (chunks: readonly TextChunk[]) => readonly (readonly TextChunk[])[]
  /** Fails a chunk alone whose numbers aren't finite; rejects where the inference failed. */
  readonly run: (group: readonly TextChunk[]) => Promise<void>
}

export function createTextRunner(
  session: Session,
  { tokenizer, host }: ReadsText,
  labels: number,
  rows: number,
): TextRunner {
  /** A window's pieces and the two special ones, padded. */
  const lengthOf = ({ window }: TextChunk): number =>
    Math.min(Math.ceil((window.end - window.begin + 2) / STEP) * STEP, host.positions)

  const numbersAPiece = Math.max(rows, host.intermediate)

  const wants = ({ text }: TextChunk): number => (text.latents === undefined ? 0 : 1)

  function groupsOf(chunks: readonly TextChunk[]): TextChunk[][] {
    const sorted = chunks.toSorted((a, b) => wants(a) - wants(b) || lengthOf(b) - lengthOf(a))
    const most = Math.ceil(chunks.length / session.lanes)
    const groups: TextChunk[][] = []
    for (const chunk of sorted) {
      const group = groups.at(-1)
      const first = group?.[0]
      const fits =
        group !== undefined &&
        first !== undefined &&
        group.length < most &&
        wants(first) === wants(chunk) &&
        lengthOf(chunk) >= lengthOf(first) * LEAST_FILLED &&
        (group.length + 1) * lengthOf(first) * numbersAPiece <= MOST_NUMBERS[session.provider]
      if (fits) group.push(chunk)
      else groups.push([chunk])
    }
    return groups
  }

  function inputsOf(group: readonly TextChunk[], length: number): Record<string, Input> {
    const shape = [group.length, length]
    const pieces = new BigInt64Array(group.length * length)
    const mask = new BigInt64Array(group.length * length)
    const features = new BigInt64Array(group.length * length)
    group.forEach(({ text, window: { begin, end } }, i) => {
      const at = i * length
      const inside = at + 1
      pieces[at] = BigInt(tokenizer.begin)
      for (let piece = begin; piece < end; piece++) {
        pieces[inside + piece - begin] = BigInt(text.encoded.pieces[piece] ?? 0)
        features[inside + piece - begin] = BigInt(text.features[piece] ?? 0)
      }
      pieces[inside + end - begin] = BigInt(tokenizer.end)
      mask.fill(1n, at, inside + end - begin + 1)
    })
    return {
      pieces: { data: pieces, shape },
      mask: { data: mask, shape },
      ...(host.features === undefined ? {} : { features: { data: features, shape } }),
    }
  }

  async function run(group: readonly TextChunk[]): Promise<void> {
    const [first] = group
    if (first === undefined) return
    const length = lengthOf(first)
    const outputs = wants(first) === 1 ? ['probabilities', 'latents'] : ['probabilities']
    const found = await session.run(inputsOf(group, length), outputs)
    const probabilities = outputOf(found, 'probabilities', group.length * length * labels)
    const latents = found.get('latents')
    group.forEach((chunk, i) => {
      const { text, window } = chunk
      // Row 0 is the special piece before the window's own.
      const rowOf = (piece: number): number => i * length + 1 + piece - window.begin
      const kept = probabilities.subarray(
        rowOf(window.keepBegin) * labels,
        rowOf(window.keepEnd) * labels,
      )
      if (!kept.every(Number.isFinite)) {
        chunk.fail(new NotFinite())
        return
      }
      text.probabilities.set(kept, window.keepBegin * labels)
      if (latents !== undefined)
        for (let piece = window.keepBegin; piece < window.keepEnd; piece++)
          text.latents?.keep(
            piece,
            latents.subarray(rowOf(piece) * rows, (rowOf(piece) + 1) * rows),
          )
      chunk.done()
    })
  }

  return { lanes: session.lanes, groupsOf, run }
}

/** @throws where the engine gave another number of them than the shapes say. */
export function outputOf(
  found: ReadonlyMap<string, Float32Array>,
  name: string,
  count: number,
): Float32Array {
  const values = found.get(name)
  if (values?.length !== count) throw new Error(`the graph gave no ${name} of that shape`)
  return values
}
