import { setTimeout as pause } from 'node:timers/promises'
import type { Ask } from './connection.ts'
import { RefusedError } from './failures.ts'
import { pathOfVersion, type VersionRef } from './registry.ts'

/** Has the registry hash every stored byte of a version again. */
export const verification = (version: VersionRef): Ask => ({
  method: 'POST',
  path: `${pathOfVersion(version)}/verify`,
  isPatient: true,
})

const MOST_WAITS = 100
const MOST_PAUSE_SECONDS = 60

/** Waits while others have as much verified as the registry does at once; undefined for what is withdrawn. */
export async function whenFree<T>(ask: () => Promise<T>): Promise<T | undefined> {
  for (let waits = 0; ; waits += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error
      if (error.code === 'WITHDRAWN') return undefined
      if (error.code !== 'TOO_MANY_REQUESTS' || waits === MOST_WAITS) throw error
      const seconds = Number(error.facts['retry_after'])
      await pause(1000 * Math.min(Math.max(0, seconds || 0), MOST_PAUSE_SECONDS))
    }
  }
}
