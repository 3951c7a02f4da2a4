import type { CheckpointName, Sha256, TagName } from '../registry/names.ts'
import { tagMoved } from './answers.ts'
import { askJson, type Connection, jsonBody } from './connection.ts'
import { pathOfCheckpoint } from './registry.ts'

/** What the tag must name now, null for nothing; undefined where anything will do. */
export type Expected = Sha256 | null | undefined

export const pathOfTag = (checkpoint: CheckpointName, tag: TagName): string =>
  `${pathOfCheckpoint(checkpoint)}/tags/${encodeURIComponent(tag)}`

/** Makes the tag name what `ref` means now. */
export async function moveTag(
  connection: Connection,
  checkpoint: CheckpointName,
  tag: TagName,
  ref: string,
  expected: Expected,
): Promise<{ readonly document: ReturnType<typeof tagMoved>; readonly raw: unknown }> {
  const body = jsonBody({ ref, ...(expected === undefined ? {} : { expected }) })
  return askJson(connection, { method: 'PUT', path: pathOfTag(checkpoint, tag), body }, tagMoved)
}
