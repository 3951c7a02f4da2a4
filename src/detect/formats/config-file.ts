import { readFile, stat } from 'node:fs/promises'
import { onDisk } from '../../client/disk.ts'
import { type Members, membersOf, refuseAt } from '../open/members.ts'

/** Those of today are a few KB. */
const MAX_BYTES = 1024 * 1024

/** A family's JSON, which says what its weights are. @throws {LocalError}, {DetectorRefused} */
export async function readConfig(path: string, name: string): Promise<Members> {
  const { size } = await onDisk(path, () => stat(path))
  if (size > MAX_BYTES) refuseAt(name, `takes more than ${MAX_BYTES} bytes`)
  const text = await onDisk(path, () => readFile(path, 'utf8'))
  return membersOf({ value: parse(text, name), where: name })
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes the file.
    return refuseAt(name, 'is not JSON')
  }
}

/** A member that may be missing or null. */
export function optional<T>(
  members: Members,
  name: string,
  read: (name: string) => T,
): T | undefined {
  return members.has(name) && !members.isNull(name) ? read(name) : undefined
}
