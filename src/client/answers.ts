import { revisionOf } from '../registry/revision.ts'
import { UntrustedError } from './failures.ts'
import {
  checkpointName,
  count,
  filePath,
  flag,
  list,
  nullable,
  number,
  object,
  optional,
  record,
  sha256,
  strings,
  text,
} from './shapes.ts'
import type { Read } from './shapes.ts'

const described = object({
  checkpoint: text,
  version: text,
  revision: sha256,
  state: text,
  withdrawn_reason: optional(text),
  created_at: text,
  created_by: text,
  size: count,
  tensors: count,
  parameters: count,
  metadata: strings,
  files: list(object({ path: filePath, size: count, sha256, tensors: count, metadata: strings })),
  tags: list(text),
  warnings: list(text),
})
export type Description = ReturnType<typeof described>

/**
 * A version's description, which must hash to the revision that it claims: who knows the revision needn't trust
 * the server for the files' names, sizes and hashes.
 */
export const description: Read<Description> = (value, where) => {
  const read = described(value, where)
  const paths = new Set(read.files.map(({ path }) => path))
  if (paths.size < read.files.length) throw new UntrustedError('The version names a path twice.')
  if (revisionOf(read) !== read.revision) {
    throw new UntrustedError("The version's description does not hash to its revision.", {
      revision: read.revision,
    })
  }
  return read
}

export const hashes = object({ sha256, size: count, chunk_size: count, leaves: list(sha256) })

const shape = list(count)

const stats = object({
  nan: count,
  pos_inf: count,
  neg_inf: count,
  zeros: count,
  min: nullable(number),
  max: nullable(number),
  mean: nullable(number),
  abs_max: nullable(number),
  l2: nullable(number),
})
export type Stats = ReturnType<typeof stats>

const tensorItem = object({
  name: text,
  path: filePath,
  dtype: text,
  shape,
  begin: count,
  end: count,
  size: count,
  sha256,
  stats: optional(nullable(stats)),
})
export type TensorItem = ReturnType<typeof tensorItem>

export const tensorPage = object({ items: list(tensorItem), next: nullable(text) })

const tensorThere = { path: text, dtype: text, shape, sha256 }
const difference = { name: text, ...tensorThere, size: count }
const changedTensor = object({
  ...difference,
  from: object(tensorThere),
  relative_l2: optional(nullable(number)),
  max_abs: optional(nullable(number)),
})
const diffSide = object({ version: text, revision: sha256 })

export const diffPage = object({
  from: diffSide,
  to: diffSide,
  added: list(object(difference)),
  removed: list(object(difference)),
  changed: list(changedTensor),
  same: count,
  next: nullable(text),
})
export type DiffPage = ReturnType<typeof diffPage>

export const verdict = object({
  valid: flag,
  files: list(
    object({ path: text, valid: flag, sha256: text, size: count, chunk: optional(count) }),
  ),
})

export const checkpointPage = object({
  items: list(
    object({
      checkpoint: checkpointName,
      created_at: text,
      versions: count,
      latest: nullable(text),
    }),
  ),
  next: nullable(text),
})

export const checkpoint = object({
  checkpoint: text,
  created_at: text,
  versions: list(
    object({
      version: text,
      revision: sha256,
      state: text,
      created_at: text,
      created_by: text,
      size: count,
    }),
  ),
  tags: strings,
  policy: record,
})

export const tagMoved = object({
  tag: text,
  version: text,
  revision: sha256,
  previous: nullable(sha256),
})

const who = nullable(object({ id: text, name: text }))

export const tagHistory = object({
  items: list(
    object({
      seq: count,
      at: text,
      who,
      action: text,
      version: nullable(text),
      revision: nullable(sha256),
      previous: nullable(sha256),
    }),
  ),
  next: nullable(text),
})

const token = {
  id: text,
  name: text,
  role: text,
  scope: text,
  created_at: text,
  created_by: optional(nullable(text)),
  expires_at: nullable(text),
  revoked_at: optional(nullable(text)),
}
export const newToken = object({ token: text, ...token })
export const tokenList = object({ items: list(object(token)) })

export const auditPage = object({
  items: list(
    object({
      seq: count,
      at: text,
      action: text,
      who,
      address: nullable(text),
      subject: nullable(text),
      revision: nullable(text),
      outcome: text,
      details: record,
      prev_hash: text,
      hash: text,
    }),
  ),
  next: nullable(count),
})

export const auditVerdict = object({
  valid: flag,
  entries: count,
  head: object({ seq: count, hash: text, mac: nullable(text) }),
  broken: nullable(object({ seq: count, why: text })),
})
