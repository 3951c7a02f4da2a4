// Parts of a version, written to one file: a tensor's raw bytes, or a safetensors file of several tensors.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Description } from '../client/answers.ts'
import type { Connection } from '../client/connection.ts'
import { fileNameOf, targetAt, writeNewFile } from '../client/new-file.ts'
import { fetchSelection, type SelectionWanted } from '../client/pull-selection.ts'
import { type ComingTensor, fetchTensor, type TensorWanted } from '../client/pull-tensor.ts'
import type { VersionRef } from '../client/registry.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, counted, printable, shapeInWords } from './words.ts'

export interface Output {
  /** A file, a folder, or `-` for standard output. */
  readonly to: string
  readonly isJson: boolean
}

/** Downloads a tensor, or a slice of one. */
export async function pullTensor(
  connection: Connection,
  target: VersionRef,
  version: Description,
  wanted: TensorWanted,
  output: Output,
  shell: Shell,
): Promise<void> {
  const pinned = { ...target, ref: version.revision }
  const coming = await fetchTensor(connection, pinned, wanted)
  const { tensor, shape } = coming
  const { name, path, dtype } = tensor
  const slice = wanted.slice === undefined ? '' : `[${wanted.slice}]`
  const written = await write(coming, output, `${fileNameOf(name + slice)}.bin`, shell)
  const about = { name, path, dtype, shape, ...(slice === '' ? {} : { slice: wanted.slice }) }
  const words = `${name}${slice}  ${dtype} ${shapeInWords(shape)}`
  tell(version, written, { tensor: about }, words, output, shell)
}

/** Downloads several tensors as one safetensors file. */
export async function pullSelection(
  connection: Connection,
  target: VersionRef,
  version: Description,
  wanted: SelectionWanted,
  output: Output,
  shell: Shell,
): Promise<void> {
  const pinned = { ...target, ref: version.revision }
  const coming = await fetchSelection(connection, pinned, wanted)
  const written = await write(coming, output, 'selection.safetensors', shell)
  const { tensors } = coming
  tell(version, written, { tensors }, counted(tensors, 'tensor'), output, shell)
}

interface Written {
  /** Where it lies; `-` for standard output. */
  readonly local: string
  readonly size: number
  readonly sha256: string
}

async function write(
  { bytes, abandon }: Pick<ComingTensor, 'bytes' | 'abandon'>,
  { to }: Output,
  name: string,
  shell: Shell,
): Promise<Written> {
  const whole = createHash('sha256')
  let size = 0
  async function* counting(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of bytes) {
      whole.update(piece)
      size += piece.length
      yield piece
    }
  }
  try {
    const local = to === '-' ? '-' : await targetAt(to, name)
    if (local === '-') await throughTemporary(counting(), shell)
    else await writeNewFile(local, counting())
    return { local, size, sha256: whole.digest('hex') }
  } catch (error) {
    abandon()
    throw error
  }
}

/** A pipe can't take back what turns out wrong at the end: it gets nothing before that. */
async function throughTemporary(bytes: AsyncIterable<Uint8Array>, shell: Shell): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-'))
  try {
    const file = join(folder, 'bytes')
    await writeNewFile(file, bytes)
    await shell.pour(createReadStream(file))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function tell(
  { checkpoint, version, revision }: Description,
  written: Written,
  about: object,
  words: string,
  { isJson }: Output,
  shell: Shell,
): void {
  const { local, size, sha256 } = written
  if (isJson) {
    shell.say(JSON.stringify({ checkpoint, version, revision, ...about, ...written }, null, 2))
    return
  }
  const line = printable(`${local}  ${words}  ${bytesInWords(size)}  sha256 ${sha256}`)
  // Standard output has the bytes, and nothing else.
  if (local === '-') shell.note(line)
  else shell.say(line)
}
