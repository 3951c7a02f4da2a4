import type { Logger } from 'pino'
import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { ReadVerified } from '../vault/read-verified.ts'
import type { DetectMetrics } from './detect-metrics.ts'
import type { DetectorModel, Slot, SlotProblem, SlotState } from './detection.ts'
import type { DetectorRef } from './detector-ref.ts'
import { type Engine, LoadFailed, startEngine } from './engine/engine.ts'
import type { EngineSettings, LoadFailure } from './engine/messages.ts'
import { type DetectorVersion, findDetector } from './find-detector.ts'

/*
 *              ref leads to a version            loaded, warmed up, golden texts right
 *   absent ──────────────────────────▶ loading ────────────────────────────────────▶ serving
 *     ▲                                   │  ▲                                        │  │ ref leads elsewhere:
 *     │ ref leads nowhere,                │  │ again after a while                    │  │ that one is loaded beside
 *     │ or to what was withdrawn          ▼  │                                        │  ▼ it, and takes its place
 *     └───────────────────────────────  failed ◀──────────────────────────────────── process ended
 */

const FIRST_DELAY_MS = 500
const LAST_DELAY_MS = 300_000
/** A process that served for so long has earned to be started again at once. */
const STABLE_MS = 60_000

export interface Serving {
  readonly engine: Engine
  readonly model: DetectorModel
}

/** One configured ref and what it leads to. */
export interface DetectorSlot {
  readonly slot: Slot
  readonly serving: () => Serving | undefined
  readonly state: () => SlotState
  /** Looks where the ref leads now, and loads that where it is news. Calls share one look. */
  readonly look: () => Promise<void>
  /** Ends its processes, with what they work on. */
  readonly close: () => Promise<void>
}

export interface SlotOptions {
  readonly slot: Slot
  readonly ref: DetectorRef
  readonly percent: number
  readonly settings: EngineSettings
  readonly silenceMs: number
  readonly ledger: Ledger
  readonly readVerified: ReadVerified
  readonly metrics: DetectMetrics
  readonly log: Logger
  /** What is known of why the ref may lead to nothing. */
  readonly whyAbsent: () => string | undefined
}

/** What failed, and when it may be tried again. */
interface Attempt {
  readonly revision: string
  readonly count: number
  readonly notBefore: number
}

export function createDetectorSlot(options: SlotOptions): DetectorSlot {
  const { slot, ref, percent, settings, silenceMs, ledger, readVerified, metrics } = options
  const log = options.log.child({ slot, ref: ref.text })
  const closing = new AbortController()
  /** Those that still live, the one that serves among them. */
  const engines = new Set<Engine>()
  let serving: Serving | undefined
  let state: Exclude<SlotState['state'], 'serving'> = 'loading'
  let problem: SlotProblem | undefined
  let attempt: Attempt | undefined
  let looking: Promise<void> | undefined

  async function look(): Promise<void> {
    const found = await findDetector(ledger, ref, serving?.model.revision)
    if (found === undefined) {
      // A tag that was moved to what doesn't load, and back.
      problem = undefined
      attempt = undefined
      return
    }
    if (found.kind === 'absent') {
      becomeAbsent(found.why ?? options.whyAbsent() ?? LEADS_NOWHERE)
      return
    }
    const { revision } = found.kind === 'version' ? found.version : found
    if (attempt?.revision === revision && performance.now() < attempt.notBefore) return
    if (found.kind === 'version') await load(found.version)
    else fail('refused', found.version, revision, found.why)
  }

  function becomeAbsent(why: string): void {
    const retired = serving
    if (state !== 'absent' || retired !== undefined)
      log.warn({ why }, 'the ref leads to no detector: there is no detection by it')
    serving = undefined
    state = 'absent'
    attempt = undefined
    if (problem?.why !== why) problem = problemOf(why, undefined, undefined)
    void retired?.engine.retire()
  }

  async function load(version: DetectorVersion): Promise<void> {
    const { checkpoint, revision, file } = version
    if (serving === undefined) state = 'loading'
    const subject = `${checkpoint}@${version.version}`
    const context = { path: file.path, subject, revision }
    try {
      const engine = await startEngine(
        {
          settings,
          sizeBytes: file.blob.size,
          sha256: file.blob.sha256,
          bytes: readVerified(file.blob, { begin: 0, end: file.blob.size }, context),
          silenceMs,
          onRun: (chunks, seconds) => {
            metrics.batchChunks.observe({ slot }, chunks)
            metrics.inferenceSeconds.observe({ slot }, seconds)
          },
          onFault: (frames) => {
            log.error({ frames }, 'a detection failed that should not')
          },
        },
        closing.signal,
      )
      adopt(engine, version)
    } catch (error) {
      if (closing.signal.aborted) return
      const failure = failureOf(error)
      fail(failure, version.version, revision, sentenceOf(failure, error), error)
    }
  }

  function adopt(engine: Engine, version: DetectorVersion): void {
    const previous = serving
    const { passedOver, ...facts } = engine.facts
    const { checkpoint, revision, file } = version
    const model: DetectorModel = {
      ...facts,
      slot,
      ref: ref.text,
      checkpoint,
      version: version.version,
      revision,
      sha256: file.blob.sha256,
      loadedAt: new Date().toISOString(),
    }
    serving = { engine, model }
    problem = undefined
    // What failed before may be tried anew when the ref leads there again.
    if (attempt?.revision !== revision) attempt = undefined
    metrics.changes.inc({ slot })
    const { provider, fellBack } = facts
    log.info(
      { checkpoint, version: model.version, revision, provider, fellBack, passedOver },
      'detector loaded',
    )
    engines.add(engine)
    const since = performance.now()
    void engine.ended.then((how) => {
      engines.delete(engine)
      if (serving?.engine === engine && !closing.signal.aborted) onDeath(model, how, since)
    })
    void previous?.engine.retire()
  }

  function onDeath({ version, revision }: DetectorModel, how: string, since: number): void {
    serving = undefined
    if (performance.now() - since > STABLE_MS) attempt = undefined
    fail('ended', version, revision, SENTENCES.ended, new Error(how))
  }

  function fail(
    failure: LoadFailure,
    version: string,
    revision: string,
    why: string,
    error?: unknown,
  ): void {
    metrics.failures.inc({ slot, code: failure })
    const count = attempt?.revision === revision ? attempt.count + 1 : 1
    // What the file says won't change.
    const isFinal = ['refused', 'golden', 'not_finite'].includes(failure)
    const delay = Math.min(FIRST_DELAY_MS * 2 ** (count - 1), LAST_DELAY_MS)
    attempt = { revision, count, notBefore: isFinal ? Infinity : performance.now() + delay }
    problem = problemOf(why, version, revision)
    if (serving === undefined) state = 'failed'
    const goesOn = serving?.model.version
    log.error({ err: error, code: failure, version, revision, serving: goesOn ?? null }, why)
  }

  async function lookSafely(): Promise<void> {
    try {
      await look()
    } catch (error) {
      // Once, not every second.
      if (problem?.why !== NOT_LOOKED_UP) log.error({ err: error }, NOT_LOOKED_UP)
      problem = problemOf(NOT_LOOKED_UP, undefined, undefined)
      if (serving === undefined) state = 'failed'
    } finally {
      looking = undefined
    }
  }

  return {
    slot,
    serving: () => serving,
    state: () => ({
      slot,
      ref: ref.text,
      percent,
      state: serving === undefined ? state : 'serving',
      model: serving?.model,
      problem,
    }),
    look: () => (looking ??= lookSafely()),
    close: async () => {
      closing.abort(new Error('the server stops'))
      serving = undefined
      await looking
      await Promise.all([...engines].map((engine) => engine.close()))
    },
  }
}

const LEADS_NOWHERE = 'The ref leads to no version.'
const NOT_LOOKED_UP = 'Where the ref leads could not be looked up.'

const SENTENCES: Readonly<Record<LoadFailure, string>> = {
  refused: 'The file is no detector that this server knows.',
  not_finite: 'What the detector computes is NaN or infinite.',
  golden: 'The detector doesn’t find what its golden texts say.',
  provider: 'The detector doesn’t run on the configured device.',
  damaged: 'The stored bytes of the detector no longer match the ledger.',
  ended: 'The detector’s process ended.',
}

/** In characters, of what a file's loader says: names in it are the file's. */
const MAX_REASON = 300

/** With what is wrong in the file, where it is the file. */
function sentenceOf(failure: LoadFailure, error: unknown): string {
  const sentence = SENTENCES[failure]
  if (failure !== 'refused' || !(error instanceof LoadFailed)) return sentence
  const { message } = error
  const reason = message.length > MAX_REASON ? `${message.slice(0, MAX_REASON)}…` : message
  return `${sentence.slice(0, -1)}: ${reason}`
}

function failureOf(error: unknown): LoadFailure {
  if (error instanceof LoadFailed) return error.failure
  return error instanceof RegistryError && error.code === 'INTEGRITY_FAILURE' ? 'damaged' : 'ended'
}

const problemOf = (
  why: string,
  version: string | undefined,
  revision: string | undefined,
): SlotProblem => ({ why, version, revision, at: new Date().toISOString() })
