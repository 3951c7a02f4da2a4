import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const SCRIPT = join(import.meta.dirname, '../../training/baselines.py')

/** Presidio in a process that waits for texts. */
export interface Presidio {
  /** Milliseconds, as that process measures them. */
  readonly find: (text: string) => Promise<number>
  readonly close: () => void
}

/** Undefined where this Python hasn't got it: why has been said. */
export async function startPresidio(python: string): Promise<Presidio | undefined> {
  const child = spawn(python, [SCRIPT, 'presidio', '--part', 'stdin'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const failed = once(child, 'exit')
    .then(() => undefined)
    .catch(() => undefined)
  child.stdin.on('error', () => undefined)
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const find = async (text: string): Promise<number> => {
    child.stdin.write(`${JSON.stringify({ text })}\n`)
    const { value } = await lines.next()
    return (JSON.parse(String(value)) as { ms: number }).ms
  }
  const ready = find('Nobody is named here.').catch(() => undefined)
  if ((await Promise.race([ready, failed])) === undefined) return undefined
  return {
    find,
    close: () => {
      child.stdin.end()
    },
  }
}
