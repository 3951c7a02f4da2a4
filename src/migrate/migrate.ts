import { RegistryError } from '../errors.ts'
import { one } from '../items.ts'
import type { Gate } from '../gate.ts'
import type { Converted, Refusal } from '../pickle/job/messages.ts'
import { isForItsFile, type JobLimits, runJob, stopReason } from '../pickle/job/run-job.ts'
import type { ScratchFile, Vault } from '../vault/vault.ts'
import { type FilePath, parseSha256, type Sha256 } from '../registry/names.ts'
import { digestMismatch, type Publish, type PublishRequest } from '../registry/publish.ts'
import type { Metadata } from '../registry/version-metadata.ts'
import { findingOf } from './findings.ts'
import { failureOf } from './job-failed.ts'
import { withUpload } from './upload.ts'

export interface MigrationRequest extends Pick<
  PublishRequest,
  'principal' | 'address' | 'checkpoint' | 'version'
> {
  readonly body: AsyncIterable<Uint8Array>
  /** Of the new file in the version. */
  readonly path: FilePath
  readonly metadata: Metadata
  /** Keys that lead to the weights, joined with dots; undefined to look for them. */
  readonly root: string | undefined
  /** What the caller believes the checkpoint's SHA-256 to be. */
  readonly expected: Sha256 | undefined
  readonly signal: AbortSignal
}

export interface Migrated {
  readonly outcome: Awaited<ReturnType<Publish>>
  readonly converted: Converted
}

/**
 * Makes safetensors of a legacy checkpoint and publishes that. The checkpoint is in staging only while it is read.
 *
 * @throws {RegistryError} MIGRATION_REFUSED with reason and findings, and what publishing throws.
 */
export type Migrate = (request: MigrationRequest) => Promise<Migrated>

const MOST_FINDINGS_TOLD = 100

export function createMigrate(
  vault: Vault,
  publish: Publish,
  limits: JobLimits & { readonly maxFileBytes: number | undefined; readonly gate: Gate },
): Migrate {
  return async function migrate({ body, path, metadata, root, expected, signal, ...request }) {
    const target = await vault.scratch()
    try {
      const converted = await withUpload(vault, body, limits, (source) =>
        convert(source, target, root, signal),
      )
      checkSource(converted, expected)
      const outcome = await publish({
        ...request,
        files: one({ path, body: target.read(), announcedBytes: undefined }),
        facts: () => ({ metadata, expected: expectedOf(converted, path), held: [] }),
      })
      return { outcome, converted }
    } finally {
      await target.discard()
    }
  }

  async function convert(
    { fd, sizeBytes }: ScratchFile,
    target: ScratchFile,
    root: string | undefined,
    signal: AbortSignal,
  ): Promise<Converted> {
    const outcome = await runJob(
      { kind: 'convert', sizeBytes, root, writesTiedTwice: false, isOpaqueAllowed: false },
      { source: fd, target: target.fd },
      limits,
      signal,
    )
    if (outcome.kind === 'converted') return outcome.converted
    if (outcome.kind === 'refused') throw refused(outcome.refusal)
    if (outcome.kind === 'stopped' && isForItsFile(outcome.why))
      throw refused({ reason: 'limit', message: stopReason(outcome.why, limits), findings: [] })
    throw failureOf(outcome)
  }
}

function checkSource({ sourceSha256 }: Converted, expected: Sha256 | undefined): void {
  if (expected !== undefined && expected !== sourceSha256)
    throw digestMismatch({ expected, actual: sourceSha256 })
}

function refused({
  reason,
  message,
  findings,
}: Pick<Refusal, 'reason' | 'message' | 'findings'>): RegistryError {
  return new RegistryError('MIGRATION_REFUSED', `Refused: ${message}`, {
    reason,
    findings: findings.slice(0, MOST_FINDINGS_TOLD).map(findingOf),
  })
}

/** What was safetensors already must arrive as it was; a conversion was compared with its source. */
const expectedOf = (
  { format, sourceSha256 }: Converted,
  path: FilePath,
): ReadonlyMap<string, Sha256> =>
  format === 'safetensors' ? new Map([[path, parseSha256(sourceSha256, 'body')]]) : new Map()
