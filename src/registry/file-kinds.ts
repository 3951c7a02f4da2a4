import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { sidecarForm } from '../sidecars/forms.ts'
import type { FileKind } from '../vault/judging.ts'
import type { CheckpointName, FilePath, VersionName } from './names.ts'
import { effective } from './policy.ts'

/** Names of index files, as Hugging Face's libraries write them. */
const INDEX_SUFFIX = '.safetensors.index.json'

/** What the file of a path is judged as. */
export type KindOf = (path: string) => FileKind

/**
 * What the files of a new version are: by their names, and by whether its policy admits sidecars. The same version
 * again is judged by what it has.
 */
export async function kindsOf(
  ledger: Ledger,
  { owner, name }: CheckpointName,
  version: VersionName,
): Promise<KindOf> {
  const known = await ledger.resolve(owner, name, version)
  const { sidecars } = effective(await ledger.policies(owner, name))
  if (known?.via !== 'version') return (path) => kindOf(path, sidecars)
  const files = await ledger.filesOf(known.version.id)
  const kinds = new Map(files.map(({ path, blob }) => [path, blob.kind]))
  return (path) => kindOf(path, kinds.has(path) ? kinds.get(path) !== 'safetensors' : sidecars)
}

/** What a new file is judged as. */
export function kindOf(path: string, admitsSidecars: boolean): FileKind {
  if (path.endsWith(INDEX_SUFFIX)) return 'index'
  return (admitsSidecars ? sidecarForm(path) : undefined) ?? 'safetensors'
}

/** @throws {RegistryError} TOO_MANY_REQUESTS where files are to be judged otherwise by now than they were. */
export function requireSameKinds(
  files: readonly { readonly path: FilePath }[],
  before: KindOf,
  now: KindOf,
): void {
  if (files.every(({ path }) => before(path) === now(path))) return
  throw new RegistryError('TOO_MANY_REQUESTS', 'The policy was changed meanwhile; try again.', {
    retry_after: 1,
  })
}
