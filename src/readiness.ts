import type { Logger } from 'pino'

/** What has yet to happen, and is no failure: no stack tells more. */
export class NotYet extends Error {}

/** A name, and what rejects where the server can't do its work. */
export type Check = readonly [name: string, run: () => Promise<unknown>]

/** Names of the checks that fail. A probe asks every few seconds: the log is told of changes. */
export function createReadiness(
  checks: readonly Check[],
  log: Logger,
): () => Promise<readonly string[]> {
  const failures = new Map<string, string>()

  function enter(name: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    if (failures.get(name) === why) return
    failures.set(name, why)
    if (error instanceof NotYet) log.info({ check: name, why }, 'not ready yet')
    else log.warn({ err: error, check: name }, 'not ready')
  }

  async function isFailing([name, run]: Check): Promise<boolean> {
    try {
      await run()
    } catch (error) {
      enter(name, error)
      return true
    }
    if (failures.delete(name)) log.info({ check: name }, 'ready again')
    return false
  }

  return async () => {
    const results = await Promise.all(
      checks.map(async (check) => ((await isFailing(check)) ? [check[0]] : [])),
    )
    return results.flat()
  }
}
