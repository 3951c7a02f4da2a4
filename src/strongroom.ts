import type { Logger } from 'pino'
import type { Blob, Ledger, LedgerDamaged } from '../db/ledger.ts'
import { type AuditLog, createAuditLog } from './access/audit-log.ts'
import type { Announce } from './access/first-admin.ts'
import { type Config, ConfigError } from './config.ts'
import { admitShipped } from './detect/admit-shipped.ts'
import type { Detect } from './detect/detection.ts'
import { createDetectors } from './detect/detectors.ts'
import { refuseDevice } from './detect/engine/probe.ts'
import { shippedDetector } from './detect/shipped.ts'
import { createGate, type Gate } from './gate.ts'
import { createHashPool, type HashPool } from './hashing/pool.ts'
import { createSlots } from './hashing/slots.ts'
import { createVerifiedLeaves } from './hashing/verified-leaves.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { createMigrate, type Migrate } from './migrate/migrate.ts'
import { createScan, type Scan } from './migrate/scan.ts'
import { createHub, type Hub } from './hub/hub.ts'
import { networkGuard } from './pickle/job/isolation.ts'
import { openStoresToRead } from './read-only-stores.ts'
import { createReadiness, NotYet } from './readiness.ts'
import type { ReadHeld } from './registry/held-files.ts'
import { createPublish, type Publish } from './registry/publish.ts'
import { createSelect, type Select } from './registry/select.ts'
import { createFindStanding } from './registry/standing-copy.ts'
import { type CompareTensors, createCompareTensors } from './registry/tensor-change.ts'
import { createVerifyVersion, type VerifyVersion } from './registry/verify.ts'
import { openStores, type Stores } from './stores.ts'
import { createAdmission } from './vault/admit.ts'
import { createOpenBlobs } from './vault/open-blobs.ts'
import { createVerifiedReader, type ReadContext, type ReadVerified } from './vault/read-verified.ts'
import { createRehash } from './vault/rehash.ts'

/** The registry without its HTTP: what the routes are given. */
export interface Strongroom {
  readonly config: Config
  readonly ledger: Ledger
  readonly audit: AuditLog
  readonly metrics: Metrics
  readonly publish: Publish
  readonly migrate: Migrate
  readonly scan: Scan
  readonly hub: Hub
  readonly readVerified: ReadVerified
  readonly select: Select
  readonly verifyVersion: VerifyVersion
  readonly compareTensors: CompareTensors
  readonly detect: Detect
  readonly uploads: Gate
  readonly verifications: Gate
  /** Bytes that may be admitted before the vault's floor is reached. */
  readonly roomBytes: () => Promise<number>
  /** Names of the checks that fail; none when the server can do its work. */
  readonly failingChecks: () => Promise<readonly string[]>
  /** Entries `server.stop`, writes what is pending, lets go of everything. */
  readonly close: () => Promise<void>
}

/**
 * Opens ledger and vault and wires the parts together.
 *
 * @throws {ConfigError} {FoldersRefused} {LedgerRefused} with a message that says what to do.
 */
export async function openStrongroom(
  config: Config,
  log: Logger,
  announce: Announce,
  onFatal: (error: Error) => void,
): Promise<Strongroom> {
  const refused = await refuseDevice(config)
  if (refused !== undefined) throw new ConfigError([refused])
  const stores = config.READ_ONLY
    ? await openStoresToRead(config, log)
    : await openStores(config, log, announce)
  let pool: HashPool | undefined
  try {
    pool = createHashPool(config.HASH_WORKERS, onFatal)
    return wire(config, log, stores, pool)
  } catch (error) {
    await pool?.close()
    await stores.close()
    throw error
  }
}

function wire(
  config: Config,
  log: Logger,
  { ledger, vault, close: closeStores }: Stores,
  pool: HashPool,
): Strongroom {
  const slots = createSlots(config.CACHE_BYTES, pool.share)
  const leaves = createVerifiedLeaves(slots, pool)
  const blobs = createOpenBlobs(vault)
  const metrics = createMetrics({
    leafHits: () => leaves.counts.hits,
    leafMisses: () => leaves.counts.misses,
    pinnedSlots: leaves.pinned,
    vaultFreeBytes: vault.freeBytes,
  })
  const audit = createAuditLog(ledger, (error) => {
    metrics.auditFailures.inc()
    log.error({ err: error }, 'audit entries could not be written')
  })

  async function onCorrupt(
    blob: Blob,
    chunk: number,
    { path, subject, revision }: ReadContext,
  ): Promise<void> {
    const details = { path, chunk, sha256: blob.sha256, vault_id: blob.vaultId }
    let isNews: boolean
    try {
      isNews = await ledger.quarantine(blob.vaultId, {
        action: 'integrity_failure',
        subject,
        revision,
        outcome: 'INTEGRITY_FAILURE',
        details,
      })
    } catch (error) {
      // The bytes are not served either way; the next read tries again to have it entered.
      log.error({ err: error, subject, ...details }, 'damaged bytes could not be quarantined')
      return
    }
    if (!isNews) return
    metrics.integrityFailures.inc()
    log.error(
      { subject, ...details },
      'stored bytes no longer match the ledger; the blob is quarantined',
    )
    await vault.quarantine(blob.vaultId)
  }

  const onAltered = (why: LedgerDamaged, { path, subject, revision }: ReadContext): void => {
    log.error({ err: why, path, subject, revision }, 'rows of the ledger were altered')
  }

  const readVerified = createVerifiedReader({
    ledger,
    blobs,
    leaves,
    slotCount: slots.total,
    onCorrupt,
  })

  const readHeld: ReadHeld = ({ path, file: { blob } }) =>
    readVerified(blob, { begin: 0, end: blob.size }, { path, subject: path, revision: '' })

  const admit = createAdmission({
    vault,
    pool,
    slots,
    limits: {
      maxFileBytes: config.MAX_FILE_BYTES,
      maxIndexBytes: config.MAX_INDEX_BYTES,
      maxSidecarBytes: config.MAX_SIDECAR_BYTES,
      maxTensors: config.MAX_TENSORS,
      headerMemoryBytes: config.HEADER_MEMORY_BYTES,
    },
  })

  const rehash = createRehash({ ledger, blobs, pool })
  const findStanding = createFindStanding(ledger, rehash)

  const publish = createPublish({
    ledger,
    vault,
    pool,
    readHeld,
    findStanding,
    admit,
    limits: {
      maxFiles: config.MAX_FILES,
      maxMetadataBytes: config.MAX_METADATA_BYTES,
      maxMetadataKeys: config.MAX_METADATA_KEYS,
    },
  })

  const roomBytes = async (): Promise<number> => (await vault.freeBytes()) - config.DISK_FLOOR_BYTES

  const hub = createHub({
    config,
    ledger,
    vault,
    admit,
    publish,
    findStanding,
    roomBytes,
    onFailure: (error) => {
      log.error({ err: error }, 'expired uploads could not be removed')
    },
  })

  const jobs = {
    memoryBytes: config.MIGRATION_MEMORY_BYTES,
    deadlineMs: config.MIGRATION_DEADLINE_MS,
    maxFileBytes: config.MAX_FILE_BYTES,
    gate: createGate(config.MAX_MIGRATIONS),
  }

  const detect = createDetectors({
    config,
    ledger,
    readVerified,
    registry: metrics.registry,
    log,
    admitShipped: async () =>
      config.READ_ONLY ? undefined : admitShipped({ ledger, publish, log }, shippedDetector()),
  })
  detect.start()

  async function requireRoom(): Promise<void> {
    if ((await roomBytes()) <= 0) throw new Error('below the floor')
  }

  /** Once it has loaded, or failed to, its state is told and fails nothing more. */
  function requireSettled(): Promise<void> {
    return detect.isSettling()
      ? Promise.reject(new NotYet('The detector is being loaded.'))
      : Promise.resolve()
  }

  const failingChecks = createReadiness(
    [
      ['ledger', () => ledger.ping()],
      ['vault', () => vault.ping()],
      ...(config.READ_ONLY ? [] : [['disk', requireRoom] as const]),
      ['detector', requireSettled],
    ],
    log,
  )

  void networkGuard().then((guard) => {
    log.info({ network: guard.length > 0 ? 'none' : 'as here' }, 'isolation of migrations')
  })

  const logHead = setInterval(() => {
    ledger.auditHead().then(
      (head) => {
        log.info({ audit_head: head }, 'audit head')
      },
      (error: unknown) => {
        log.error({ err: error }, 'the audit head could not be read')
      },
    )
  }, 3_600_000)
  logHead.unref()

  return {
    config,
    ledger,
    audit,
    metrics,
    readVerified,
    select: createSelect({
      ledger,
      read: readVerified,
      maxTensors: config.MAX_SELECT_TENSORS,
      memoryBytes: config.SELECT_MEMORY_BYTES,
    }),
    publish,
    migrate: createMigrate(vault, publish, jobs),
    scan: createScan(vault, jobs),
    hub,
    detect,
    verifyVersion: createVerifyVersion({ ledger, rehash, onCorrupt, onAltered }),
    compareTensors: createCompareTensors(readVerified, pool),
    uploads: createGate(Math.min(config.MAX_UPLOADS, Math.floor(slots.total / 4))),
    verifications: createGate(config.MAX_VERIFICATIONS),
    roomBytes,
    failingChecks,
    close: async () => {
      clearInterval(logHead)
      await hub.close()
      await detect.close()
      await audit.close()
      try {
        const head = await ledger.appendAudit([{ action: 'server.stop', outcome: 'ok' }])
        log.info({ audit_head: head }, 'audit head')
      } catch (error) {
        log.error({ err: error }, 'the stop could not be entered in the audit log')
      }
      await pool.close()
      await closeStores()
    },
  }
}
