import { join } from 'node:path'
import { pythonEnv, TEST_PINS, type PythonEnv } from '../../bench/hub-clients/python-env.ts'
import { runSteps, type Setting, type Step } from '../../bench/hub-clients/run-steps.ts'
import type { TestServer } from '../helpers/server.ts'

/** What it takes to tell of something in a test. */
interface Telling {
  readonly comment: (said: string) => void
  readonly pass: (said: string) => unknown
  readonly equal: (found: unknown, wanted: unknown, said: string, extra: object) => unknown
}

/** The environment with the clients; undefined, and said so loudly, where this machine can't have it. */
export async function clients(t: Telling): Promise<PythonEnv | undefined> {
  try {
    return await pythonEnv(TEST_PINS)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const said = `NOT DRIVEN: the Hugging Face clients could not be had here (${TEST_PINS.join(' ')})`
    process.stderr.write(`${said}\n`)
    t.comment(`${said}: ${why}`)
    t.pass('real clients need python3 and a package index, which the registry itself does not')
    return undefined
  }
}

export function assertSteps(t: Telling, steps: readonly Step[]): void {
  for (const { operation, promise, outcome, why, seconds } of steps) {
    if (outcome === 'not offered') t.comment(`this version of the client doesn’t: ${promise}`)
    else t.equal(outcome, 'held', promise, { why, operation, seconds })
  }
}

/** Runs a script of steps against the server and asserts each. */
export async function drive(
  t: Telling,
  python: PythonEnv,
  script: string,
  server: TestServer,
  setting: Pick<Setting, 'token' | 'env'>,
): Promise<void> {
  const folder = join(server.folder, 'client')
  assertSteps(t, await runSteps(python, script, { endpoint: server.url, folder, ...setting }))
}
