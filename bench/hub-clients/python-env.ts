// Virtual environments with exactly the packages that were named, made once and kept:
//
//   node_modules/.cache/python/
//     3f2a…c1          → 3f2a…c1-x7Yw2q   (a link, made when the environment is complete; its name is a hash of Python and pins)
//     3f2a…c1-x7Yw2q/                     (where it was made: scripts hold the path, so it never moves)

import { execFile } from 'node:child_process'
import { hash } from 'node:crypto'
import { access, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const FOLDER = new URL('../../node_modules/.cache/python', import.meta.url).pathname
/** Of every command of the making: a package index that doesn't answer must not hold a test up. */
const LIMIT_MS = 60_000

/** What `npm test` drives. */
export const TEST_PINS = [
  'huggingface_hub==2.4.0',
  'hf_xet==1.8.0',
  'safetensors==0.8.0',
  'numpy>=2,<3',
]

export interface Wanted {
  /** The Python to make it with: a command or a path. */
  readonly python?: string
  /** Packages that the others bring, and that this environment is to be without. */
  readonly without?: readonly string[]
  /** Of the installation, in milliseconds. */
  readonly limitMs?: number
}

export interface PythonEnv {
  /** `python` and the scripts of the packages are in it. */
  readonly bin: string
}

const run = promisify(execFile)

/** Without what would lead to the packages of another environment. */
export function pythonless(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const leading = new Set(['PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV'])
  const rest = Object.entries(env).filter(([name]) => !leading.has(name))
  return { ...Object.fromEntries(rest), PYTHONNOUSERSITE: '1' }
}

async function tell(command: string, args: readonly string[], limitMs = LIMIT_MS): Promise<string> {
  const env = { ...pythonless(process.env), UV_HTTP_TIMEOUT: '15', UV_HTTP_RETRIES: '1' }
  const { stdout } = await run(command, args, { timeout: limitMs, killSignal: 'SIGKILL', env })
  return stdout.trim()
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

type Making = Required<Wanted> & { readonly folder: string; readonly pins: readonly string[] }

async function makeByUv({ folder, python, pins, without, limitMs }: Making): Promise<void> {
  const at = ['--quiet', '--python', join(folder, 'bin/python')]
  await tell('uv', ['venv', '--quiet', '--clear', '--python', python, folder])
  await tell('uv', ['pip', 'install', ...at, ...pins], limitMs)
  if (without.length > 0) await tell('uv', ['pip', 'uninstall', ...at, ...without])
}

async function makeByPip({ folder, python, pins, without, limitMs }: Making): Promise<void> {
  const inside = join(folder, 'bin/python')
  const quick = ['--quiet', '--retries', '1', '--timeout', '15']
  await tell(python, ['-m', 'venv', '--clear', folder])
  await tell(inside, ['-m', 'pip', 'install', ...quick, ...pins], limitMs)
  if (without.length > 0)
    await tell(inside, ['-m', 'pip', 'uninstall', '--quiet', '--yes', ...without])
}

/**
 * The environment of these pins; made now unless it is there. Several processes may ask at once: each makes one,
 * and all use the one that was complete first.
 *
 * @throws what the making said, where Python or the packages can't be had.
 */
export async function pythonEnv(
  pins: readonly string[],
  { python = process.env['PYTHON'] ?? 'python3', without = [], limitMs = LIMIT_MS }: Wanted = {},
): Promise<PythonEnv> {
  const which = await tell(python, ['-c', 'import sys; print(sys.version, sys.executable)'])
  const key = hash('sha256', JSON.stringify([which, pins, without])).slice(0, 16)
  const link = join(FOLDER, key)
  const env = { bin: join(link, 'bin') }
  if (await exists(link)) return env

  await mkdir(FOLDER, { recursive: true })
  const folder = await mkdtemp(`${link}-`)
  const making = { folder, python, pins, without, limitMs }
  try {
    // uv takes a second where pip takes fifteen. Where it is not there, or knows no index, pip may.
    await makeByUv(making).catch(() => makeByPip(making))
    await symlink(basename(folder), link)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    if (!(await exists(link))) throw error
  }
  return env
}
