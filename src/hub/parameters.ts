import { setImmediate } from 'node:timers/promises'
import type { Ledger, VersionFile } from '../../db/ledger.ts'
import type { ResolvedVersion } from '../registry/resolve.ts'
import { remembered } from './remembered.ts'

const ROWS_A_TURN = 500
const VERSIONS_KEPT = 1000

/** Elements of each dtype, and of all of them. */
export interface Parameters {
  readonly parameters: Readonly<Record<string, number>>
  readonly total: number
}

export type CountParameters = (resolved: ResolvedVersion) => Promise<Parameters>

/** Counts a version's parameters when they are first asked for, some rows of the ledger in each turn. */
export function createCountParameters(ledger: Ledger): CountParameters {
  const once = remembered<Parameters>(VERSIONS_KEPT)

  async function addUp(file: VersionFile, counts: Map<string, number>): Promise<void> {
    let after = ''
    for (;;) {
      const tensors = await ledger.tensorPage(file, after, ROWS_A_TURN)
      for (const { dtype, shape } of tensors) {
        const elements = shape.reduce((product, size) => product * size, 1)
        counts.set(dtype, (counts.get(dtype) ?? 0) + elements)
      }
      const last = tensors.at(-1)
      if (last === undefined || tensors.length < ROWS_A_TURN) return
      after = last.name
      await setImmediate()
    }
  }

  async function count({ version, files }: ResolvedVersion): Promise<Parameters> {
    const counts = new Map<string, number>()
    for (const file of files) if (file.tensors > 0) await addUp(file, counts)
    return { parameters: Object.fromEntries(counts), total: version.parameters }
  }

  return (resolved) => once(resolved.version.revision, () => count(resolved))
}
