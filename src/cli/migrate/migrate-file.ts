import { createHash } from 'node:crypto'
import { lstat, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Connection } from '../../client/connection.ts'
import { onDisk, syncFolder, unlessMissing } from '../../client/disk.ts'
import { misused } from '../../client/local-failure.ts'
import type { VersionRef } from '../../client/registry.ts'
import type { Converted } from '../../pickle/job/messages.ts'
import { SOURCE_KEY } from '../../pickle/own-keys.ts'
import { SafetensorsError } from '../../safetensors/safetensors-error.ts'
import { checkPushed, push, type Pushed } from './destination.ts'
import { readWeights, type Wanted } from './engine.ts'
import { checkRoom, makeAt, makeBeside, type Weights, weightsAt } from './new-weights.ts'
import { backupOf, openOriginal, type Original, retire } from './original.ts'
import { hasSafetensorsName, type Source } from './sources.ts'

/** What is done with each file. */
export interface Order extends Wanted {
  readonly isDryRun: boolean
  /** With the source, once the new file is safe. */
  readonly original: 'keep' | 'back_up' | 'delete'
  readonly connection: Connection | undefined
}

/** What became of a file, as far as it came. */
export interface Progress {
  outcome?: 'migrated' | 'already' | 'would_migrate'
  original: 'kept' | 'backed_up' | 'deleted'
  sourceSha256?: string
  /** The new file, there or to be. */
  target?: string
  weights?: Weights
  converted?: Converted
  pushed?: Pushed
  /** What a person should know of it. */
  remark?: string
}

interface Run {
  readonly target: string
  readonly original: Original
  /** That it is published as. */
  readonly version: VersionRef | undefined
  readonly order: Order
  readonly progress: Progress
  readonly signal: AbortSignal
}

/**
 * Makes a safetensors file of a checkpoint. In this order: the new file is whole, synced and under its name; it is
 * published; both are read again; only then the source goes.
 *
 * @throws {Refused}, {LocalError}, and what a registry's client throws; `progress` says what was done before.
 */
export async function migrateFile(
  { path, target, trouble }: Source,
  version: VersionRef | undefined,
  order: Order,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  if (trouble !== undefined) throw trouble
  const original = await openOriginal(path)
  const run = { target, original, version, order, progress, signal }
  try {
    if (hasSafetensorsName(path)) await leave(run)
    else if (order.isDryRun) await foresee(run)
    else await migrate(run)
  } finally {
    await original.file.close()
  }
}

/** Nothing is to be done with what is safetensors by name and by content. */
async function leave({ original, order, progress, signal }: Run): Promise<void> {
  const converted = await readWeights(original, undefined, order, signal)
  if (converted.format !== 'safetensors')
    throw misused(original.path, `it is no safetensors file but a checkpoint (${converted.format}); give it another name, such as NAME.pt`) // prettier-ignore
  note(progress, 'already', converted)
  progress.remark = 'it is safetensors, there is nothing to migrate'
}

async function foresee(run: Run): Promise<void> {
  const { target, original, version, order, progress, signal } = run
  if (await isThere(target)) {
    await readMade(run)
    // What the options ask for must be there; whether it is what was made of it, only a new file shows.
    if (hasChoice(order)) await readWeights(original, undefined, order, signal)
  } else {
    note(progress, 'would_migrate', await readWeights(original, undefined, order, signal))
    progress.target = target
    await checkRoom(target)
  }
  if (version !== undefined)
    progress.remark = `it would be pushed as ${version.owner}/${version.name}@${version.ref}`
  if (order.original === 'back_up' && (await isThere(backupOf(original))))
    throw misused(backupOf(original), 'there is something of this name already')
}

async function migrate(run: Run): Promise<void> {
  const { target, original, version, order, progress, signal } = run
  const { connection } = order
  const weights = (await isThere(target)) ? await takeMade(run) : await make(run)
  if (connection !== undefined && version !== undefined) {
    progress.pushed = await push(connection, version, target, weights, signal)
    if (order.original !== 'keep') await checkPushed(connection, version, progress.pushed, weights)
  }
  if (order.original === 'keep') return
  await checkOnDisk(target, weights, signal)
  await retire(original, order.original)
  progress.original = order.original === 'delete' ? 'deleted' : 'backed_up'
  if (original.isLink) progress.remark = 'it was a link; the file that it led to stays'
}

async function make({ target, original, order, progress, signal }: Run): Promise<Weights> {
  const { converted, weights } = await makeAt(target, original, order, signal)
  note(progress, 'migrated', converted)
  progress.target = target
  progress.weights = weights
  return weights
}

/** What an earlier run made; where that matters, it is made anew and compared. */
async function takeMade(run: Run): Promise<Weights> {
  const { target, original, order, progress, signal } = run
  const weights = await readMade(run)
  // What is published, or outlives its source, is what comes of the source now.
  if (order.original === 'keep' && order.connection === undefined && !hasChoice(order))
    return weights
  const anew = await makeBeside(target, original, order, signal)
  note(progress, 'already', anew.converted)
  if (anew.weights.sha256 !== weights.sha256)
    throw misused(target, 'it is not what these options make of the source; move it away, or use -o') // prettier-ignore
  return weights
}

/** Whether the caller says what is to be made, so that what an earlier run made may be something else. */
const hasChoice = ({ root, writesTiedTwice, isOpaqueAllowed }: Wanted): boolean =>
  root !== undefined || writesTiedTwice || isOpaqueAllowed

/** @throws {LocalError} where what is there isn't made of the source. */
async function readMade({ target, original, progress, signal }: Run): Promise<Weights> {
  const sourceSha256 = await sha256Of(original, signal)
  progress.sourceSha256 = sourceSha256
  const weights = await weightsAt(target, signal).catch((error: unknown) => {
    if (!(error instanceof SafetensorsError)) throw error
    throw misused(target, `it exists and is not valid safetensors (${error.message}); move it away, or use -o`) // prettier-ignore
  })
  // What was safetensors before is the same bytes under another name.
  if (weights.metadata[SOURCE_KEY] !== sourceSha256 && weights.sha256 !== sourceSha256)
    throw misused(target, 'it exists and was not made of this file; move it away, or use -o')
  progress.outcome = 'already'
  progress.target = target
  progress.weights = weights
  return weights
}

function note(
  progress: Progress,
  outcome: NonNullable<Progress['outcome']>,
  converted: Converted,
): void {
  progress.outcome = outcome
  progress.sourceSha256 = converted.sourceSha256
  progress.converted = converted
  if (converted.format === 'safetensors')
    progress.remark = 'it is safetensors under another name, taken as it is'
}

/** Reads the new file once more, by its name, from where it is durable. @throws {LocalError} */
async function checkOnDisk(
  target: string,
  { sha256 }: Weights,
  signal: AbortSignal,
): Promise<void> {
  if (!(await onDisk(target, () => lstat(target))).isFile())
    throw misused(target, 'it is a link, perhaps to the source; the source stays')
  const file = await onDisk(target, () => open(target))
  try {
    await onDisk(target, () => file.sync())
  } finally {
    await file.close()
  }
  await syncFolder(dirname(target))
  if ((await weightsAt(target, signal)).sha256 !== sha256)
    throw misused(target, 'it is not what was written; the source stays')
}

const isThere = async (path: string): Promise<boolean> =>
  (await onDisk(path, () => lstat(path).catch(unlessMissing))) !== undefined

async function sha256Of({ file }: Original, signal: AbortSignal): Promise<string> {
  const whole = createHash('sha256')
  const stream = file.createReadStream({ autoClose: false, start: 0, highWaterMark: 1024 * 1024 })
  for await (const chunk of stream) {
    signal.throwIfAborted()
    whole.update(chunk as Uint8Array)
  }
  return whole.digest('hex')
}
