import type { Detection, Provider } from '../detection.ts'
import type { Device } from '../detector-ref.ts'
import { CATEGORIES, type Detector, type GoldenText } from '../detector.ts'
import { buildActivationsGraph } from '../graph/activations-graph.ts'
import { createGraphBuilder } from '../graph/builder.ts'
import { openDetector } from '../open-detector.ts'
import { DetectorRefused } from '../refused.ts'
import type {
  ActivationsWork,
  EngineFacts,
  EngineSettings,
  LoadFailure,
  PassedOver,
  Work,
} from './messages.ts'
import { createPipeline, type Pipeline, type Sessions } from './pipeline.ts'
import { openSession } from './session.ts'
import { openTextSession } from './text-session.ts'
import { NotFinite } from './text-chunks.ts'

/** Why nothing was loaded; the message is for the log. */
export class NotLoaded extends Error {
  readonly failure: LoadFailure

  constructor(failure: LoadFailure, why: string, cause?: unknown) {
    super(why, cause === undefined ? undefined : { cause })
    this.failure = failure
  }
}

export interface Loaded {
  readonly facts: EngineFacts
  readonly pipeline: Pipeline
}

/**
 * Opens a detector on the device: on `auto`, on the first provider that runs it and finds in the golden texts exactly
 * what the detector says is there. No other is ever adopted.
 *
 * @throws {NotLoaded}
 */
export async function load(
  bytes: Uint8Array,
  settings: EngineSettings,
  onRun: (chunks: number, seconds: number) => void,
): Promise<Loaded> {
  const detector = openOrRefuse(bytes)
  const passedOver: PassedOver[] = []
  let failure: LoadFailure = 'provider'
  for (const provider of providersOf(settings.device)) {
    try {
      const { pipeline, fellBack } = await adopt(detector, provider, settings, onRun)
      return { pipeline, facts: { ...factsOf(detector), provider, fellBack, passedOver } }
    } catch (error) {
      failure = failureOf(error)
      passedOver.push({ provider, why: error instanceof Error ? error.message : String(error) })
    }
  }
  throw new NotLoaded(
    failure,
    passedOver.map(({ provider, why }) => `${provider}: ${why}`).join('; '),
  )
}

/**
 * Whether a provider runs anything here.
 *
 * @throws {NotLoaded}
 */
export async function probe(provider: Provider): Promise<void> {
  const graph = createGraphBuilder()
  const x = graph.input('x', 'float32', [1])
  graph.output('y', graph.node('Add', [x, x]), [1])
  try {
    const session = await openSession(graph.finish(), provider, 1)
    await session.run({ x: { data: Float32Array.of(1), shape: [1] } }, ['y'])
    await session.fellBack()
  } catch (error) {
    throw new NotLoaded('provider', error instanceof Error ? error.message : String(error), error)
  }
}

function failureOf(error: unknown): LoadFailure {
  if (error instanceof NotLoaded) return error.failure
  return error instanceof NotFinite ? 'not_finite' : 'provider'
}

const providersOf = (device: Device): readonly Provider[] =>
  device === 'auto' ? ['cuda', 'cpu'] : [device]

function openOrRefuse(bytes: Uint8Array): Detector {
  try {
    return openDetector(bytes)
  } catch (error) {
    if (!(error instanceof DetectorRefused)) throw error
    throw new NotLoaded('refused', error.message, error)
  }
}

async function adopt(
  detector: Detector,
  provider: Provider,
  settings: EngineSettings,
  onRun: (chunks: number, seconds: number) => void,
): Promise<{ pipeline: Pipeline; fellBack: EngineFacts['fellBack'] }> {
  const sessions = await openSessions(detector, provider, settings.threads)
  try {
    const pipeline = createPipeline(detector, sessions, settings, onRun)
    await warmUp(pipeline, detector, settings.batchChunks)
    await checkGolden(pipeline, detector.settings.golden)
    const fellBack = await operatorsElsewhere(sessions)
    return { pipeline, fellBack }
  } catch (error) {
    await sessions.text?.release()
    await sessions.activations.release()
    throw error
  }
}

async function openSessions(
  detector: Detector,
  provider: Provider,
  threads: number,
): Promise<Sessions> {
  const text = detector.settings.text && (await openTextSession(detector, provider, threads))
  try {
    const activations = await openSession(buildActivationsGraph(detector), provider, threads)
    return { text, activations }
  } catch (error) {
    await text?.release()
    throw error
  }
}

/** Of both graphs; undefined where it isn't known of one. */
async function operatorsElsewhere({
  text,
  activations,
}: Sessions): Promise<readonly string[] | undefined> {
  const ofText = text === undefined ? [] : await text.fellBack()
  const ofActivations = await activations.fellBack()
  if (ofText === undefined || ofActivations === undefined) return undefined
  return [...new Set([...ofText, ...ofActivations])].sort()
}

const EVERYTHING = { threshold: 0, categories: undefined, explain: false }

/** The shortest and the largest inference there can be: memory is taken now, and what isn't finite shows now. */
async function warmUp(
  pipeline: Pipeline,
  { settings: { text, sae, decoding } }: Detector,
  batchChunks: number,
): Promise<void> {
  const activations: ActivationsWork = {
    kind: 'activations',
    dtype: 'F32',
    bytes: new Uint8Array(sae.dModel * 4),
    tokens: 1,
    dModel: sae.dModel,
    offsets: undefined,
    ...EVERYTHING,
  }
  await finish(pipeline, activations)
  if (text === undefined) return
  await finish(pipeline, { kind: 'texts', texts: ['1'], ...EVERYTHING })
  const long = '1 '.repeat(decoding.window)
  const texts = Array.from({ length: batchChunks }, () => long)
  await finish(pipeline, { kind: 'texts', texts, ...EVERYTHING })
}

/** @throws {NotLoaded} */
async function checkGolden(pipeline: Pipeline, golden: readonly GoldenText[]): Promise<void> {
  const texts = golden.map(({ text }) => text)
  if (texts.length === 0) return
  const found = await finish(pipeline, { kind: 'texts', texts, ...EVERYTHING })
  const wrong = golden.findIndex(({ spans }, i) => tell(spans) !== tell(found.get(i)?.spans ?? []))
  if (wrong >= 0)
    throw new NotLoaded('golden', `golden text ${wrong} gives other spans than the detector says`)
}

const tell = (spans: GoldenText['spans']): string =>
  JSON.stringify(spans.map(({ category, start, end }) => [category, start, end]))

/** Resolves with what was found in each text. */
function finish(pipeline: Pipeline, work: Work): Promise<ReadonlyMap<number, Detection>> {
  return new Promise((resolve, reject) => {
    const found = new Map<number, Detection>()
    pipeline(work, {
      result: (index, detection) => found.set(index, detection),
      done: () => {
        resolve(found)
      },
      failed: (error) => {
        reject(error instanceof Error ? error : new Error(String(error)))
      },
    })
  })
}

function factsOf({
  settings: { description, languages, text, decoding, sae, classifiers, scores },
}: Detector): Omit<EngineFacts, 'provider' | 'fellBack' | 'passedOver'> {
  return {
    description,
    languages,
    readsText: text !== undefined,
    categories: CATEGORIES.filter((category) => decoding.categories[category] !== undefined),
    sae,
    classifiers,
    scores,
  }
}
