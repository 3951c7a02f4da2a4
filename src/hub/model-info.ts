import { createHash } from 'node:crypto'
import type { CheckpointOverview } from '../../db/ledger.ts'
import type { ResolvedVersion } from '../registry/resolve.ts'
import { commitOf, EMPTY_COMMIT } from './revision.ts'

/** A repository as the Hub's lists have it. */
export interface ModelSummary {
  readonly _id: string
  readonly id: string
  readonly modelId: string
  readonly author: string
  readonly sha: string
  readonly lastModified: string
  readonly createdAt: string
  readonly private: true
  readonly gated: false
  readonly disabled: false
  readonly downloads: number
  readonly likes: number
  readonly tags: readonly string[]
}

/** What every repository here is tagged with, and nothing else. */
export const MODEL_TAGS: readonly string[] = ['safetensors']

/** 24 hex digits, as the Hub's ids have, that are always the same for one subject. */
export const hubId = (subject: string): string =>
  createHash('sha256').update(subject.toLowerCase()).digest('hex').slice(0, 24)

/** @param resolved the version to tell of; undefined where there is none on `main` */
export function summaryOf(
  { owner, name, createdAt }: Pick<CheckpointOverview, 'owner' | 'name' | 'createdAt'>,
  version: ResolvedVersion['version'] | undefined,
): ModelSummary {
  const id = `${owner}/${name}`
  return {
    _id: hubId(id),
    id,
    modelId: id,
    author: owner,
    sha: version === undefined ? EMPTY_COMMIT : commitOf(version.revision),
    lastModified: version?.createdAt ?? createdAt,
    createdAt,
    private: true,
    gated: false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: MODEL_TAGS,
  }
}
