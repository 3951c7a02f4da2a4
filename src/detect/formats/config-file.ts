import { readFile, stat } from 'node:fs/promises'
import { onDisk } from '../../client/disk.ts'
import { type Members, membersOf, refuseAt } from '../open/members.ts'
import { parseJson } from '../open/parse-json.ts'

/** Those of today are a few KB. */
const MAX_BYTES = 1024 * 1024

/** A family's JSON, which says what its weights are. @throws {LocalError}, {DetectorRefused} */
export async function readConfig(path: string, name: string): Promise<Members> {
  const { size } = await onDisk(path, () => stat(path))
  if (size > MAX_BYTES) refuseAt(name, `takes more than ${MAX_BYTES} bytes`)
  const text = await onDisk(path, () => readFile(path, 'utf8'))
  return membersOf({ value: parseJson(text, name), where: name })
}

/** A member that may be missing or null. */
export function optional<T>(
  members: Members,
  name: string,
  read: (name: string) => T,
): T | undefined {
  return members.has(name) && !members.isNull(name) ? read(name) : undefined
}
