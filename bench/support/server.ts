import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const TOKEN = 'sr_of-a-benchmark-0123456789-0123456789'

/** A server of its own process and folders, as `npm start` runs it. */
export async function startServer(
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<{ url: string; pid: number; stop: () => Promise<void> }> {
  const entry = new URL('../../bin/strongroom.js', import.meta.url).pathname
  const child = spawn(
    process.execPath,
    ['--max-semi-space-size=2', entry, 'serve', '--port', '0'],
    {
      env: {
        ...process.env,
        STRONGROOM_VAULT: join(folder, 'vault'),
        STRONGROOM_LEDGER: join(folder, 'ledger'),
        STRONGROOM_ADMIN_TOKEN: TOKEN,
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const { pid } = child
  if (pid === undefined) throw new Error('the server did not start')
  for await (const line of createInterface(child.stdout)) {
    const { msg, url } = JSON.parse(line) as { msg: string; url?: string }
    if (msg !== 'listening' || url === undefined) continue
    child.stdout.resume()
    const stop = async (): Promise<void> => {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    return { url, pid, stop }
  }
  throw new Error('the server ended')
}
