import { RegistryError } from '../errors.ts'
import type { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { sidecarForm } from '../sidecars/forms.ts'
import type { FileKind } from './judging.ts'

/** The answer to a file that isn't what it is judged as. */
export function refusalOf(
  error: SafetensorsError,
  { path, kind }: { readonly path: string; readonly kind: FileKind },
): RegistryError {
  const { reason, offset, tensor, looksLike, message } = error
  const couldBeSidecar = kind === 'safetensors' && sidecarForm(path) !== undefined
  return new RegistryError(
    'INVALID_SAFETENSORS',
    couldBeSidecar ? `${message}; the policy of this checkpoint admits no sidecars` : message,
    {
      reason,
      path,
      ...(offset === undefined ? {} : { offset }),
      ...(tensor === undefined ? {} : { tensor }),
      ...(looksLike === undefined ? {} : { looks_like: looksLike }),
    },
    error,
  )
}
