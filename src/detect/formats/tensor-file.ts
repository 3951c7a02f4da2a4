import { open } from 'node:fs/promises'
import { onDisk, readFully } from '../../client/disk.ts'
import { refuseAt } from '../open/members.ts'
import { openNpz } from './npz-file.ts'
import { randomAccessTo } from './random-access.ts'
import { openSafetensors } from './safetensors-file.ts'

/** Tensors of somebody's file, which is read only as far as it is asked for. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** `__metadata__` of safetensors. */
  readonly metadata: Readonly<Record<string, string>>
  readonly close: () => Promise<void>
}

export interface StoredTensor {
  readonly name: string
  /** As safetensors names it. */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Which of its dimensions runs fastest in the bytes: the last, or the first as in Fortran. */
  readonly fastest: 'last' | 'first'
  /** All of its bytes, little-endian, in pieces of any length; from the start again with each call. */
  readonly read: () => AsyncIterable<Uint8Array>
}

/** PK\3\4, with which a ZIP's first member begins. */
const ZIP = 0x04034b50

/**
 * Opens a file of tensors: safetensors, or NumPy's .npz. Nothing in either is executed, and an array of Python objects
 * is refused.
 *
 * @throws {LocalError}, {DetectorRefused} saying what is wrong with the file
 */
export async function openTensorFile(path: string): Promise<TensorFile> {
  const handle = await onDisk(path, () => open(path, 'r'))
  try {
    const { size } = await onDisk(path, () => handle.stat())
    const file = randomAccessTo(handle, path, size)
    const start = Buffer.alloc(4)
    await onDisk(path, () => readFully(handle, start, 0))
    const read = start.readUInt32LE(0) === ZIP ? openNpz : openSafetensors
    return { ...(await read(file)), close: () => handle.close() }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** What both kinds of file are read into. */
export type OpenedTensors = Omit<TensorFile, 'close'>

/** A tensor that must be there. */
export function tensorNamed({ tensors }: TensorFile, ...names: readonly string[]): StoredTensor {
  for (const name of names) {
    const tensor = tensors.get(name)
    if (tensor !== undefined) return tensor
  }
  return refuseAt(`tensor ${names.join(' or ')}`, 'is missing')
}
