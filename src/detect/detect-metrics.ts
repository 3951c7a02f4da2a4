import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { DetectorModel } from './detection.ts'

/** Labels are codes, categories, providers, slots and what serves in them: nothing of a text, nor how long one is. */
export interface DetectMetrics {
  readonly requests: Counter<'surface' | 'outcome' | 'slot'>
  readonly seconds: Histogram<'surface' | 'slot'>
  readonly spans: Counter<'category' | 'slot'>
  readonly batchChunks: Histogram<'slot'>
  readonly inferenceSeconds: Histogram<'slot'>
  readonly changes: Counter<'slot'>
  readonly failures: Counter<'slot' | 'code'>
}

/** What the process knows at the moment it is asked. */
export interface DetectReadings {
  readonly queuedTexts: () => number
  readonly queuedCodePoints: () => number
  /** What each slot that serves has. */
  readonly serving: () => readonly DetectorModel[]
}

export function createDetectMetrics(registry: Registry, readings: DetectReadings): DetectMetrics {
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter<L>({ name: `strongroom_${name}`, help, labelNames, registers })
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    buckets: number[],
  ): Histogram<L> =>
    new Histogram<L>({ name: `strongroom_${name}`, help, labelNames, buckets, registers })
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `strongroom_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }

  gauge('detect_queued_texts', 'Texts being judged or waiting for it', readings.queuedTexts)
  gauge(
    'detect_queued_code_points',
    'Code points being judged or waiting for it',
    readings.queuedCodePoints,
  )
  new Gauge({
    name: 'strongroom_detector_info',
    help: 'The detector of a slot, and the provider on which it runs',
    labelNames: ['slot', 'provider', 'version', 'revision'],
    registers,
    collect() {
      this.reset()
      for (const { slot, provider, version, revision } of readings.serving())
        this.set({ slot, provider, version, revision }, 1)
    },
  })
  return {
    requests: counter(
      'detect_requests_total',
      'Requests to detect, also those refused before a detector was asked, by what became of them',
      ['surface', 'outcome', 'slot'],
    ),
    seconds: histogram(
      'detect_duration_seconds',
      'From a detection’s coming in to its end, waiting included',
      ['surface', 'slot'],
      [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60],
    ),
    spans: counter('detect_spans_total', 'Spans told', ['category', 'slot']),
    batchChunks: histogram(
      'detect_batch_chunks',
      'Windows in one inference',
      ['slot'],
      [1, 2, 4, 8, 16, 32, 64, 128],
    ),
    inferenceSeconds: histogram(
      'detect_inference_seconds',
      'Time of one inference',
      ['slot'],
      [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    ),
    changes: counter('detector_changes_total', 'Detectors that began to serve', ['slot']),
    failures: counter(
      'detector_failures_total',
      'Detectors that did not load, by reason, and processes that ended',
      ['slot', 'code'],
    ),
  }
}
