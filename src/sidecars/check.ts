import type { SidecarResult } from '../hashing/jobs.ts'
import type { HashPool } from '../hashing/pool.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import type { SidecarForm } from './forms.ts'

/** Has a sidecar judged by a worker, while its bytes go by in memory that the worker sees. */
export interface SidecarCheck {
  /** In order; the bytes must not change until it resolves. @throws {SafetensorsError} `not_safetensors`. */
  add: (bytes: Uint8Array) => Promise<void>
  /** The file is over. @throws {SafetensorsError} `not_safetensors`. */
  finish: () => Promise<void>
  /** Lets go of the worker's memory; once every `add` has settled. */
  end: () => void
}

export function createSidecarCheck(pool: HashPool, form: SidecarForm): SidecarCheck {
  const session = pool.openSession()
  const { id, run, end } = session
  return {
    add: async (bytes) => {
      refuse(await run('upload', { kind: 'sidecar_update', session: id, form, bytes }))
    },
    finish: async () => {
      refuse(await run('upload', { kind: 'sidecar_end', session: id, form }))
    },
    end,
  }
}

function refuse(result: SidecarResult): void {
  if (result === undefined) return
  const { message, offset, looksLike } = result
  throw new SafetensorsError('not_safetensors', message, { offset, looksLike })
}
