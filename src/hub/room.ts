import { RegistryError } from '../errors.ts'

/** Sets room on the disk aside for bytes that are about to be written. @throws {RegistryError} INSUFFICIENT_STORAGE */
export type ReserveRoom = (bytes: number) => Promise<() => void>

/** What is written already counts twice until it is done: rather too little room than too much. */
export function createRoom(roomBytes: () => Promise<number>): ReserveRoom {
  let reserved = 0
  return async (bytes) => {
    const room = await roomBytes()
    if (room - reserved <= bytes)
      throw new RegistryError('INSUFFICIENT_STORAGE', 'There is no room for this.')
    reserved += bytes
    let isReserved = true
    return () => {
      if (isReserved) reserved -= bytes
      isReserved = false
    }
  }
}
