import type { HashPool } from '../hashing/pool.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createSidecarCheck } from '../sidecars/check.ts'
import { sidecarForm, type SidecarForm } from '../sidecars/forms.ts'
import { refusalOf } from '../vault/refusal.ts'
import type { HeldFile, ReadHeld } from './held-files.ts'

/**
 * Content that the registry holds was judged for the name that it came under; for another it is judged again.
 *
 * @throws {RegistryError} INVALID_SAFETENSORS, INTEGRITY_FAILURE.
 */
export async function checkSidecars(
  pool: HashPool,
  held: readonly HeldFile[],
  readHeld: ReadHeld,
): Promise<void> {
  for (const file of held) {
    const { kind } = file
    if (kind === 'safetensors' || kind === 'index' || wasJudgedAs(file, kind)) continue
    const check = createSidecarCheck(pool, kind)
    try {
      for await (const piece of readHeld(file)) await check.add(piece)
      await check.finish()
    } catch (error) {
      throw error instanceof SafetensorsError ? refusalOf(error, file) : error
    } finally {
      check.end()
    }
  }
}

const wasJudgedAs = ({ file }: HeldFile, form: SidecarForm): boolean =>
  file.blob.kind === 'sidecar' && sidecarForm(file.path) === form
