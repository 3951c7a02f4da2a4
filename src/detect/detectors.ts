import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Ledger } from '../../db/ledger.ts'
import { type Config, SHIPPED_REF } from '../config.ts'
import { invalidField, RegistryError } from '../errors.ts'
import type { ReadVerified } from '../vault/read-verified.ts'
import { createDetectMetrics } from './detect-metrics.ts'
import type { ActivationsRequest, Detect, Detections, Slot, TextsRequest } from './detection.ts'
import type { Category } from './detector.ts'
import { createDetectorSlot, type DetectorSlot, type Serving } from './detector-slot.ts'
import type { Work } from './engine/messages.ts'
import { createWorkLine, type WorkSize } from './work-line.ts'

/** How often a ref is asked where it leads: a look-up takes microseconds. */
const POLL_MS = 1_000
/** Of activations, which take the room of a code point in the line. */
const BYTES_A_CODE_POINT = 16
/** A process that was asked something is given no less, whatever the deadline, before it counts as hung. */
const LEAST_SILENCE_MS = 3_000
/** In the metrics: of a request that was refused before a detector was asked. */
const NO_SLOT = 'none'

export interface Detectors extends Detect {
  /** Admits what is shipped, loads what is configured, and goes on looking where the refs lead. */
  readonly start: () => void
  /** Whether a first load has yet to succeed or fail. */
  readonly isSettling: () => boolean
  readonly close: () => Promise<void>
}

export interface DetectorsOptions {
  readonly config: Config
  readonly ledger: Ledger
  readonly readVerified: ReadVerified
  readonly registry: Registry
  readonly log: Logger
  /** Comes before the first load; never rejects, and may tell why what is shipped isn't there. */
  readonly admitShipped: () => Promise<string | undefined>
}

/** The configured detectors, and the line in which work waits for them. */
export function createDetectors(options: DetectorsOptions): Detectors {
  const { config, registry, admitShipped } = options
  const line = createWorkLine({
    texts: config.DETECT_QUEUE_TEXTS,
    codePoints: config.DETECT_QUEUE_CODE_POINTS,
  })
  const metrics = createDetectMetrics(registry, {
    queuedTexts: () => line.now().texts,
    queuedCodePoints: () => line.now().codePoints,
    serving: () => slots.flatMap(({ serving }) => serving()?.model ?? []),
  })
  const slots: readonly DetectorSlot[] = openSlots()
  let isSettling = slots.length > 0
  let whyNotShipped: string | undefined
  let timer: NodeJS.Timeout | undefined
  let started: Promise<void> = Promise.resolve()
  let canaryShare = 0

  function openSlots(): readonly DetectorSlot[] {
    const { DETECTOR: primary, DETECTOR_CANARY: canary } = config
    if (primary === undefined) return []
    const silenceMs = Math.max(LEAST_SILENCE_MS, config.DETECT_DEADLINE_MS)
    const settings = {
      device: config.DEVICE,
      threads: config.DETECT_THREADS,
      batchChunks: config.DETECT_BATCH_CHUNKS,
      batchWaitMs: config.DETECT_BATCH_WAIT_MS,
    }
    const open = (slot: Slot, ref: typeof primary, percent: number): DetectorSlot =>
      createDetectorSlot({
        ...{ ...options, slot, ref, percent, settings, silenceMs, metrics },
        whyAbsent: () => (ref.text === SHIPPED_REF ? whyNotShipped : undefined),
      })
    if (canary === undefined) return [open('primary', primary, 100)]
    const { ref, percent } = canary
    return [open('primary', primary, 100 - percent), open('canary', ref, percent)]
  }

  const lookAll = async (): Promise<void> => {
    await Promise.all(slots.map(({ look }) => look()))
  }

  async function begin(): Promise<void> {
    whyNotShipped = await admitShipped()
    await lookAll()
    isSettling = false
  }

  /** Whose turn it is: the canary's while it serves, as often as its share says. */
  function pick(): DetectorSlot {
    const [primary, canary] = slots
    if (primary === undefined)
      throw unavailable('off', 'This server is configured to detect nothing.')
    if (canary?.serving() === undefined) return primary
    canaryShare += canary.state().percent
    if (canaryShare < 100) return primary
    canaryShare -= 100
    return canary
  }

  async function judge(
    { surface, signal, onSlot }: Pick<TextsRequest, 'surface' | 'signal' | 'onSlot'>,
    ask: (serving: Serving) => { readonly work: Work; readonly size: WorkSize },
  ): Promise<Detections> {
    const picked = pick()
    const { slot } = picked
    onSlot?.(slot)
    const begun = performance.now()
    try {
      const serving = servingOf(picked)
      const { work, size } = ask(serving)
      signal?.throwIfAborted()
      const leave = line.enter(size)
      const limit = withDeadline(signal, config.DETECT_DEADLINE_MS)
      try {
        const results = await serving.engine.detect(work, limit.signal, leave)
        for (const { spans } of results)
          for (const { category } of spans) metrics.spans.inc({ category, slot })
        return { results, model: serving.model }
      } finally {
        limit.lift()
      }
    } finally {
      metrics.seconds.observe({ surface, slot }, (performance.now() - begun) / 1000)
    }
  }

  return {
    texts: (request) =>
      judge(request, ({ model }) => {
        if (!model.readsText)
          throw unavailable('reads_activations_only', 'The detector reads activations only.')
        requireLanguage(request, model.languages)
        requireCategories(request, model.categories)
        const { texts, threshold, categories, explain } = request
        const work: Work = { kind: 'texts', texts, threshold, categories, explain }
        return { work, size: sizeOf(texts, config) }
      }),
    activations: (request) =>
      judge(request, ({ model }) => {
        requireWidth(request, model.sae.dModel)
        requireCategories(request, model.categories)
        const { dtype, bytes, tokens, dModel, offsets, threshold, categories, explain } = request
        return {
          work: {
            kind: 'activations',
            ...{ dtype, bytes, tokens, dModel, offsets, threshold, categories, explain },
          },
          size: { texts: 1, codePoints: Math.ceil(bytes.length / BYTES_A_CODE_POINT) },
        }
      }),
    slots: () => slots.map(({ state }) => state()),
    count: (surface, outcome, slot) => {
      metrics.requests.inc({ surface, outcome, slot: slot ?? NO_SLOT })
    },
    isSettling: () => isSettling,
    start: () => {
      if (slots.length === 0) return
      started = begin()
      timer = setInterval(() => {
        if (!isSettling) void lookAll()
      }, POLL_MS)
      timer.unref()
    },
    close: async () => {
      clearInterval(timer)
      const closed = slots.map(({ close }) => close())
      await started
      await Promise.all(closed)
    },
  }
}

function servingOf(picked: DetectorSlot): Serving {
  const serving = picked.serving()
  if (serving !== undefined) return serving
  const { state } = picked.state()
  switch (state) {
    case 'loading':
      throw unavailable('loading', 'The detector is being loaded.', 1)
    case 'absent':
      throw unavailable('absent', 'There is no detector where the configuration says.')
    default:
      throw unavailable('failed', 'The detector could not be loaded.', 5)
  }
}

const unavailable = (why: string, sentence: string, retryAfter?: number): RegistryError =>
  new RegistryError('DETECTOR_UNAVAILABLE', sentence, {
    why,
    ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
  })

function requireLanguage({ language }: TextsRequest, known: readonly string[]): void {
  if (language !== undefined && !known.includes(language))
    throw invalidField('body.language', `must be one of ${known.join(', ')}`)
}

/** Of what nobody looks for, "none found" would be a lie. */
function requireCategories(
  { categories = [] }: Pick<TextsRequest, 'categories'>,
  known: readonly Category[],
): void {
  if (!categories.every((category) => known.includes(category)))
    throw invalidField('body.categories', `this detector finds ${known.join(', ')} only`)
}

function requireWidth({ dModel }: ActivationsRequest, expected: number): void {
  if (dModel !== expected)
    throw invalidField(
      'body.activations',
      `must have ${expected} numbers a token, those of the model that the detector was made for`,
    )
}

/** @throws {RegistryError} TOO_LARGE: nothing is ever cut short. */
function sizeOf(texts: readonly string[], config: Config): WorkSize {
  const { MAX_DETECT_TEXTS: mostTexts, MAX_DETECT_CODE_POINTS: mostCodePoints } = config
  if (texts.length > mostTexts)
    throw new RegistryError('TOO_LARGE', 'These are too many texts.', { limit: mostTexts })
  const lengths = texts.map((text) => codePointsIn(text, mostCodePoints))
  if (lengths.some((length) => length > mostCodePoints))
    throw new RegistryError('TOO_LARGE', 'A text is too long.', { limit: mostCodePoints })
  return { texts: texts.length, codePoints: lengths.reduce((sum, each) => sum + each, 0) }
}

/** Not counted where there are more than `most` whatever they are. */
function codePointsIn(text: string, most: number): number {
  if (text.length > most * 2) return text.length
  let count = 0
  for (let i = 0; i < text.length; i++) {
    if ((text.codePointAt(i) ?? 0) > 0xffff) i += 1
    count += 1
  }
  return count
}

/** Aborts with the caller's own reason, or with DEADLINE_EXCEEDED. */
function withDeadline(
  signal: AbortSignal | undefined,
  deadlineMs: number,
): { readonly signal: AbortSignal; readonly lift: () => void } {
  const controller = new AbortController()
  const onAbort = (): void => {
    controller.abort(signal?.reason)
  }
  signal?.addEventListener('abort', onAbort)
  const timer = setTimeout(() => {
    controller.abort(
      new RegistryError('DEADLINE_EXCEEDED', 'The detection took longer than it may.'),
    )
  }, deadlineMs)
  return {
    signal: controller.signal,
    lift: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}
