import { createGate } from '../gate.ts'
import { SLOT_BYTES, type Slot, type Slots } from '../hashing/slots.ts'
import type { Staged } from './vault.ts'

const SLOTS_PER_UPLOAD = 8
const FLUSH_EVERY_BYTES = 64 * 1024 * 1024

export interface SlotWriter {
  write: (chunk: Uint8Array) => Promise<void>
  /** Sends off the last, partly filled slot and waits for everything; throws what went wrong. */
  drain: () => Promise<void>
  /** Waits until nobody reads a slot any more, and gives back what is left; never throws. */
  settle: () => Promise<void>
}

/** Reads a slot, which doesn't change until it resolves; slots come in order. */
export type SlotReader = (slot: Slot, position: number, length: number) => Promise<void>

/** Gathers chunks of any size into slots, each of which is written and read at the same time. */
export function createSlotWriter(
  staged: Staged,
  readers: readonly SlotReader[],
  slots: Slots,
  enter: () => Promise<() => void>,
): SlotWriter {
  const mine = createGate(SLOTS_PER_UPLOAD)
  const inFlight = new Set<Promise<void>>()
  let filling: { readonly slot: Slot; readonly giveBack: () => void } | undefined
  let filled = 0
  let position = 0
  let sinceFlush = 0
  let flushing: Promise<void> = Promise.resolve()
  let failure: unknown

  async function takeSlot(): Promise<NonNullable<typeof filling>> {
    const leaveMine = await mine.enter()
    const leaveShare = await enter()
    const slot = await slots.take()
    return {
      slot,
      giveBack: () => {
        slots.give(slot)
        leaveShare()
        leaveMine()
      },
    }
  }

  async function process(
    slot: Slot,
    at: number,
    length: number,
    giveBack: () => void,
  ): Promise<void> {
    const jobs = [
      staged.write(at, slot.bytes.subarray(0, length)),
      ...readers.map((read) => read(slot, at, length)),
    ]
    for (const result of await Promise.allSettled(jobs)) {
      if (result.status === 'rejected') failure ??= result.reason
    }
    giveBack()
  }

  function sendOff(): void {
    if (filling === undefined || filled === 0) return
    const { slot, giveBack } = filling
    const job = process(slot, position, filled, giveBack)
    inFlight.add(job)
    void job.finally(() => inFlight.delete(job))
    position += filled
    sinceFlush += filled
    filling = undefined
    filled = 0
    if (sinceFlush >= FLUSH_EVERY_BYTES) {
      sinceFlush = 0
      flushing = flushing.then(staged.flush)
      flushing.catch((error: unknown) => {
        failure ??= error
      })
    }
  }

  function throwFailure(): void {
    if (failure !== undefined)
      throw failure instanceof Error ? failure : new Error('an upload failed')
  }

  return {
    write: async (chunk) => {
      for (let done = 0; done < chunk.length;) {
        throwFailure()
        filling ??= await takeSlot()
        const part = chunk.subarray(done, done + SLOT_BYTES - filled)
        filling.slot.bytes.set(part, filled)
        filled += part.length
        done += part.length
        if (filled === SLOT_BYTES) sendOff()
      }
    },
    drain: async () => {
      sendOff()
      await Promise.all([...inFlight, flushing])
      throwFailure()
    },
    settle: async () => {
      filling?.giveBack()
      filling = undefined
      await Promise.allSettled([...inFlight, flushing])
    },
  }
}
