import { refuseAt } from './members.ts'

/** JSON of somebody's file. @throws {DetectorRefused} */
export function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    // The parser's message quotes the file.
    const at = notANumberAt(json)
    return at === undefined
      ? refuseAt(where, 'no JSON')
      : refuseAt(where, `NaN or infinity at character ${at}, which JSON has no number for`)
  }
}

/** Where a number stands that Python's `json` writes and JSON doesn't have; from 1. */
function notANumberAt(json: string): number | undefined {
  // Strings are skipped. One that doesn't end goes to the end: each character is seen once, whatever the file.
  for (const { 0: found, index } of json.matchAll(/"(?:[^"\\]|\\[^]?)*(?:"|$)|NaN|-?Infinity/g))
    if (!found.startsWith('"')) return index + 1
  return undefined
}
