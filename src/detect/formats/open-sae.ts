import { refuseAt, type Members } from '../open/members.ts'
import { readConfig } from './config-file.ts'
import type { SaeFiles } from './find-sae.ts'
import { readGemmaScope } from './gemma-scope.ts'
import { readLlamaScope } from './llama-scope.ts'
import type { Sae, SaeOptions } from './sae.ts'
import { readSaelens } from './saelens.ts'
import { readSparsify } from './sparsify.ts'
import { readStateDict } from './state-dict.ts'
import { openTensorFile, type TensorFile } from './tensor-file.ts'

export interface OpenSae {
  readonly sae: Sae
  /** When nothing more is read of it. */
  readonly close: () => Promise<void>
}

/**
 * Reads what an SAE is, and its vectors; its matrices are read when they are asked for.
 *
 * @throws {LocalError}, {DetectorRefused} saying which file, member or tensor is at fault
 */
export async function openSae(files: SaeFiles, options: SaeOptions): Promise<OpenSae> {
  const file = await openTensorFile(files.weights)
  try {
    return { sae: await read(file, files, options), close: file.close }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function read(
  file: TensorFile,
  { family, config: path }: SaeFiles,
  options: SaeOptions,
): Promise<Sae> {
  const name = family.startsWith('llama-scope') ? 'hyperparams.json' : family === 'gemma-scope-2' ? 'config.json' : 'cfg.json' // prettier-ignore
  const config = path === undefined ? undefined : await readConfig(path, name)
  const said = (): Members => config ?? refuseAt(name, 'is missing')
  switch (family) {
    case 'llama-scope':
    case 'llama-scope-saelens':
      return readLlamaScope(file, said(), family, options)
    case 'gemma-scope':
    case 'gemma-scope-2':
      return readGemmaScope(file, config, family, options)
    case 'saelens':
      return readSaelens(file, said(), options)
    case 'sparsify':
      return readSparsify(file, said(), options)
    case 'state-dict':
      return readStateDict(file, options)
  }
}
