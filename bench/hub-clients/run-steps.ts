import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pythonless, type PythonEnv } from './python-env.ts'

/** What became of one operation of a client. */
export interface Step {
  /** Short: a column of the matrix. */
  readonly operation: string
  /** What a user can rely on, a sentence. */
  readonly promise: string
  /** `not offered`: this version of the client has no such operation. */
  readonly outcome: 'held' | 'failed' | 'not offered'
  readonly why?: string
  readonly seconds: number
}

export interface Setting {
  readonly endpoint: string
  readonly token: string
  /** The client's home and everything that it writes. */
  readonly folder: string
  /** More variables: ADMIN, AUDITOR and READER hold tokens of theirs. */
  readonly env: Readonly<Record<string, string>>
}

const run = promisify(execFile)
const LIMIT_MS = 300_000

/** What a user sets, and what keeps a client to itself: no home of the user's, no telemetry, no look for updates. */
export const clientEnv = (
  { bin }: PythonEnv,
  { endpoint, token, folder, env }: Setting,
): NodeJS.ProcessEnv => ({
  ...pythonless(process.env),
  PATH: `${bin}:${process.env['PATH'] ?? ''}`,
  HF_ENDPOINT: endpoint,
  HF_TOKEN: token,
  HF_HOME: join(folder, 'hf-home'),
  HF_HUB_OFFLINE: '',
  HF_HUB_DISABLE_TELEMETRY: '1',
  HF_HUB_DISABLE_PROGRESS_BARS: '1',
  HF_HUB_DISABLE_UPDATE_CHECK: '1',
  NO_COLOR: '1',
  ...env,
})

/** Runs the steps of a script in one process. One that fails ends none of those after it. */
export async function runSteps(
  python: PythonEnv,
  script: string,
  setting: Setting,
): Promise<readonly Step[]> {
  await mkdir(setting.folder, { recursive: true })
  const file = new URL(script, import.meta.url).pathname
  const { stdout } = await run(join(python.bin, 'python'), [file], {
    env: clientEnv(python, setting),
    timeout: LIMIT_MS,
    maxBuffer: 64 * 1024 * 1024,
    cwd: setting.folder,
  })
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Step)
}
