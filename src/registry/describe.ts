import { setImmediate } from 'node:timers/promises'
import type {
  CheckpointOverview,
  CheckpointSummary,
  Ledger,
  Tensor,
  TensorStatistics,
} from '../../db/ledger.ts'
import type { Policy } from './policy.ts'
import type { ResolvedVersion } from './resolve.ts'

/** A version as the API tells it. */
export interface Description {
  readonly checkpoint: string
  readonly version: string
  readonly revision: string
  readonly state: string
  readonly withdrawn_reason?: string
  readonly created_at: string
  readonly created_by: string
  /** Bytes of all files. */
  readonly size: number
  readonly tensors: number
  readonly parameters: number
  readonly metadata: Readonly<Record<string, string>>
  readonly files: readonly {
    readonly path: string
    readonly size: number
    readonly sha256: string
    readonly tensors: number
    readonly metadata: Readonly<Record<string, string>>
  }[]
  readonly tags: readonly string[]
  readonly warnings: readonly string[]
}

export function describeVersion({ version, files }: ResolvedVersion): Description {
  return {
    checkpoint: `${version.owner}/${version.name}`,
    version: version.version,
    revision: version.revision,
    state: version.state,
    ...(version.withdrawnReason === undefined ? {} : { withdrawn_reason: version.withdrawnReason }),
    created_at: version.createdAt,
    created_by: version.createdBy,
    size: version.size,
    tensors: version.tensors,
    parameters: version.parameters,
    metadata: version.metadata,
    files: files.map(({ path, blob, tensors, metadata }) => ({
      path,
      size: blob.size,
      sha256: blob.sha256,
      tensors,
      metadata,
    })),
    tags: version.tags,
    warnings: [...version.warnings, ...files.flatMap(damageOf)],
  }
}

/** The one warning that comes and goes: a repair takes it away. */
const damageOf = ({ path, blob }: ResolvedVersion['files'][number]): readonly string[] =>
  blob.state === 'sealed'
    ? []
    : [
        `the stored bytes of ${JSON.stringify(path)} are damaged and quarantined; publish them again to repair it`,
      ]

export const describeTensor = ({
  name,
  path,
  dtype,
  shape,
  begin,
  end,
  sha256,
  statistics,
}: Tensor): object => ({
  name,
  path,
  dtype,
  shape,
  begin,
  end,
  size: end - begin,
  sha256,
  stats: statistics === undefined ? null : describeStatistics(statistics),
})

const describeStatistics = (of: TensorStatistics): object => ({
  nan: of.nan,
  pos_inf: of.positiveInfinity,
  neg_inf: of.negativeInfinity,
  zeros: of.zeros,
  min: of.min ?? null,
  max: of.max ?? null,
  mean: of.mean ?? null,
  abs_max: of.absoluteMax ?? null,
  l2: of.l2Norm ?? null,
})

export const describeCheckpoint = (overview: CheckpointOverview, policy: Policy): object => ({
  checkpoint: `${overview.owner}/${overview.name}`,
  created_at: overview.createdAt,
  versions: overview.versions.map(({ version, revision, state, createdAt, createdBy, size }) => ({
    version,
    revision,
    state,
    created_at: createdAt,
    created_by: createdBy,
    size,
  })),
  tags: overview.tags,
  policy,
})

export const summarize = ({
  owner,
  name,
  createdAt,
  versions,
  latest,
}: CheckpointSummary): object => ({
  checkpoint: `${owner}/${name}`,
  created_at: createdAt,
  versions,
  latest: latest ?? null,
})

/** What a client needs to check any range by itself: the whole file's digest and each leaf's, in hex. */
export async function hashesOf(
  ledger: Ledger,
  file: ResolvedVersion['files'][number],
): Promise<{ sha256: string; size: number; chunk_size: number; leaves: readonly string[] }> {
  const { id, sha256, size, chunkSize } = file.blob
  const leaves: string[] = []
  for (let page = 0; ; page++) {
    const digests = await ledger.leafPage(id, page)
    if (digests === undefined) break
    await setImmediate()
    for (let at = 0; at < digests.length; at += 32) {
      leaves.push(Buffer.from(digests.buffer, digests.byteOffset + at, 32).toString('hex'))
    }
  }
  return { sha256, size, chunk_size: chunkSize, leaves }
}
