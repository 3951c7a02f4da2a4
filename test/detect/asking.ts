// What the tests of the detectors that a server has share.

import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import type { Detect, SlotState } from '../../src/detect/detection.ts'
import { RegistryError } from '../../src/errors.ts'
import { ADMIN, type TestServer } from '../helpers/server.ts'

const TEXT = 'Anna Weber, anna@example.org'

export const ask = ({ strongroom }: TestServer, text = TEXT) =>
  strongroom.detect.texts({
    surface: 'detect',
    texts: [text],
    language: undefined,
    threshold: 0.5,
    categories: undefined,
    explain: false,
    signal: undefined,
  })

export async function whyNot(server: TestServer): Promise<unknown> {
  try {
    await ask(server)
    return undefined
  } catch (error) {
    return error instanceof RegistryError ? (error.facts['why'] ?? error.code) : error
  }
}

export const move = (server: TestServer, ref: string, tag = 'production'): Promise<Response> =>
  server.request(`/v1/checkpoints/acme/tiny/tags/${tag}`, {
    token: ADMIN,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ref }),
  })

/** Resolves once a slot is so. */
export async function until(
  { slots }: Detect,
  isSo: (state: SlotState) => boolean,
  slot: SlotState['slot'] = 'primary',
): Promise<void> {
  while (!slots().some((state) => state.slot === slot && isSo(state))) await setTimeout(5)
}

/** Processes that this one runs detectors in. */
export const engines = (): readonly number[] =>
  execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, parent, ...args]) =>
        Number(parent) === process.pid && /engine\/child/.test(args.join(' ')),
    )
    .map(([pid]) => Number(pid))

export const metricsOf = async (server: TestServer): Promise<string> =>
  (await server.request('/metrics')).text()
