import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { onDisk, unlessMissing } from '../../client/disk.ts'
import { misused } from '../../client/local-failure.ts'
import { refuseAt } from '../open/members.ts'
import type { Family } from './sae.ts'

/** Where the parts of an SAE lie. */
export interface SaeFiles {
  readonly family: Family
  readonly weights: string
  /** What says how to read them, in the families that have such a file. */
  readonly config: string | undefined
}

/** The families by the files that make one; `?` is a configuration that may be missing. */
const LAYOUTS: readonly { family: Family; config?: string; weights: readonly string[] }[] = [
  {
    family: 'llama-scope',
    config: 'hyperparams.json',
    weights: ['sae_weights.safetensors', 'checkpoints/final.safetensors', 'final.safetensors'],
  },
  { family: 'saelens', config: 'cfg.json', weights: ['sae_weights.safetensors'] },
  { family: 'sparsify', config: 'cfg.json', weights: ['sae.safetensors'] },
  { family: 'gemma-scope', weights: ['params.npz'] },
  { family: 'gemma-scope-2', config: '?config.json', weights: ['params.safetensors'] },
]

const SAME_FILES: Partial<Record<Family, Family>> = { 'llama-scope-saelens': 'llama-scope' }

/**
 * Finds the files of an SAE in a folder, or around the one file given, and by their names the family.
 *
 * @param family to be taken for granted; undefined finds it out
 * @throws {LocalError}, {DetectorRefused} where it is none, or could be several
 */
export async function findSae(given: string, family: Family | undefined): Promise<SaeFiles> {
  const found = await onDisk(given, () => stat(given))
  if (family === 'state-dict') {
    if (!found.isFile()) throw misused(given, 'a state dict is one file')
    return { family, weights: given, config: undefined }
  }
  const folder = found.isDirectory() ? given : folderOf(given)
  const wanted = LAYOUTS.filter(
    (layout) => family === undefined || layout.family === (SAME_FILES[family] ?? family),
  )
  const all = (await Promise.all(wanted.map((layout) => filesOf(folder, layout)))).flat()
  const here = found.isDirectory() ? all : all.filter(({ weights }) => weights === given || weights === join(folder, basename(given))) // prettier-ignore
  const [first, ...others] = here
  if (first === undefined) return refuseUnknown(found.isDirectory(), family)
  if (others.length > 0)
    refuseAt('file', `could be of several families: ${here.map((each) => each.family).join(', ')}`)
  return { ...first, family: family ?? first.family }
}

/** Llama Scope keeps its weights one folder below its configuration. */
const folderOf = (file: string): string => {
  const folder = dirname(file)
  return basename(folder) === 'checkpoints' ? dirname(folder) : folder
}

async function filesOf(
  folder: string,
  { family, config, weights }: (typeof LAYOUTS)[number],
): Promise<readonly SaeFiles[]> {
  const path = config === undefined ? undefined : join(folder, config.replace('?', ''))
  const hasConfig = path !== undefined && (await isFile(path))
  if (config !== undefined && !hasConfig && !config.startsWith('?')) return []
  for (const name of weights) {
    const file = join(folder, name)
    if (await isFile(file)) return [{ family, weights: file, config: hasConfig ? path : undefined }]
  }
  return []
}

const isFile = async (path: string): Promise<boolean> =>
  (await onDisk(path, () => stat(path).catch(unlessMissing)))?.isFile() === true

function refuseUnknown(isFolder: boolean, family: Family | undefined): never {
  const what = family ?? 'any family'
  return refuseAt(
    isFolder ? 'folder' : 'file',
    `has not the names of ${what}${isFolder || family !== undefined ? '' : '; a state dict must be called one, for nothing in it says how it is read'}`, // prettier-ignore
  )
}
