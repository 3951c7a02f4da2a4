import { join } from 'node:path'
import { asking, fillForReading, tokensFor, type Ask } from '../../bench/hub-clients/fill.ts'
import { pythonEnv, TEST_PINS, type PythonEnv } from '../../bench/hub-clients/python-env.ts'
import { runSteps, type Setting, type Step } from '../../bench/hub-clients/run-steps.ts'
import { ADMIN, startServer } from '../helpers/server.ts'

/** What a test is told with. */
interface Telling {
  readonly comment: (said: string) => void
  readonly pass: (said: string) => unknown
  readonly equal: (found: unknown, wanted: unknown, said: string, extra: object) => unknown
}

type Test = Telling & Parameters<typeof startServer>[0]

/** A server of its own, and what a client of it is set to. */
export async function startHub(
  t: Test,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ readonly setting: Setting; readonly ask: Ask }> {
  const { url, folder } = await startServer(t, settings)
  const ask = asking(url, ADMIN)
  const tokens = await tokensFor(ask, ADMIN)
  return { ask, setting: { endpoint: url, folder: join(folder, 'client'), ...tokens } }
}

export function assertSteps(t: Telling, steps: readonly Step[]): void {
  for (const { operation, promise, outcome, why, seconds } of steps) {
    if (outcome === 'not offered') t.comment(`this version of the client doesn’t: ${promise}`)
    else t.equal(outcome, 'held', promise, { why, operation, seconds })
  }
}

/** Runs a script of steps in the Python clients against a server of its own, and asserts each. */
export async function drive(
  t: Test,
  script: string,
  { env = {}, settings = {} }: Partial<Record<'env' | 'settings', Record<string, string>>> = {},
): Promise<void> {
  const python = await clients(t)
  if (python === undefined) return
  const { setting, ask } = await startHub(t, settings)
  if (script === 'reading.py') await fillForReading(ask, setting.folder)
  assertSteps(t, await runSteps(python, script, { ...setting, env: { ...setting.env, ...env } }))
}

/** The environment with the clients; undefined, and said so loudly, where this machine can't have it. */
async function clients(t: Telling): Promise<PythonEnv | undefined> {
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
