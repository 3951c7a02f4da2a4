import { spawn } from 'node:child_process'

/** What keeps a process from the network; empty where the system grants no way. */
export type NetworkGuard = readonly string[]

// A network namespace of its own has no interface but a loopback that is down (unshare(1), network_namespaces(7)). Who isn't
// root gets one together with a user namespace, where those are allowed.
const GUARDS: readonly NetworkGuard[] = [
  ['unshare', '--net', '--'],
  ['unshare', '--user', '--map-current-user', '--net', '--'],
]

let found: Promise<NetworkGuard> | undefined

/** Found out once by trying. */
export function networkGuard(): Promise<NetworkGuard> {
  found ??= find()
  return found
}

async function find(): Promise<NetworkGuard> {
  for (const guard of GUARDS) if (await works(guard)) return guard
  return []
}

function works([command = '', ...args]: NetworkGuard): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args, 'true'], { stdio: 'ignore' })
    child.once('error', () => {
      resolve(false)
    })
    child.once('exit', (code) => {
      resolve(code === 0)
    })
  })
}
