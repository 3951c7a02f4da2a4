import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Labels are route patterns, methods, statuses, codes and reasons: never a name, a digest or a token. */
export interface Metrics {
  readonly registry: Registry
  readonly requests: Counter<'method' | 'route' | 'status'>
  readonly requestSeconds: Histogram<'method' | 'route'>
  readonly sentBytes: Counter
  readonly receivedBytes: Counter
  readonly publishes: Counter<'outcome'>
  readonly refusals: Counter<'code' | 'reason'>
  readonly migrations: Counter<'outcome'>
  readonly scans: Counter<'verdict'>
  readonly authenticationFailures: Counter<'kind'>
  readonly integrityFailures: Counter
  readonly auditFailures: Counter
}

/** What the process knows at the moment it is asked. */
export interface Readings {
  readonly leafHits: () => number
  readonly leafMisses: () => number
  readonly pinnedSlots: () => number
  readonly vaultFreeBytes: () => Promise<number>
}

export function createMetrics(readings: Readings): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry, prefix: 'strongroom_' })
  const counter = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
  ): Counter<L> =>
    new Counter<L>({ name: `strongroom_${name}`, help, labelNames: [...labelNames], registers })
  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    new Gauge({
      name: `strongroom_${name}`,
      help,
      registers,
      async collect() {
        this.set(await read())
      },
    })
  }
  gauge('leaf_cache_hits', 'Verified leaves found in memory, since start', readings.leafHits)
  gauge('leaf_cache_misses', 'Leaves that were read and hashed, since start', readings.leafMisses)
  gauge('pinned_slots', 'Slots of memory that responses hold', readings.pinnedSlots)
  gauge('vault_free_bytes', 'Bytes that may still be written to the vault', readings.vaultFreeBytes)
  return {
    registry,
    requests: counter('http_requests_total', 'Requests answered', ['method', 'route', 'status']),
    requestSeconds: new Histogram({
      name: 'strongroom_http_request_duration_seconds',
      help: 'From the request line to the last byte of the answer',
      labelNames: ['method', 'route'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
      registers,
    }),
    sentBytes: counter('sent_bytes_total', 'Verified bytes of files sent'),
    receivedBytes: counter('received_bytes_total', 'Bytes of files received'),
    publishes: counter('publishes_total', 'Publishes by outcome', ['outcome']),
    refusals: counter('publish_refusals_total', 'Publishes refused, by code and reason', [
      'code',
      'reason',
    ]),
    migrations: counter('migrations_total', 'Migrations by outcome', ['outcome']),
    scans: counter('scans_total', 'Scans by verdict', ['verdict']),
    authenticationFailures: counter(
      'authentication_failures_total',
      'Requests without a good token',
      ['kind'],
    ),
    integrityFailures: counter(
      'integrity_failures_total',
      'Blobs whose bytes no longer match the ledger',
    ),
    auditFailures: counter(
      'audit_failures_total',
      'Batches of audit entries that could not be written',
    ),
  }
}
