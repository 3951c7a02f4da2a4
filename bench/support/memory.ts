import { readdir, readFile } from 'node:fs/promises'

export interface Memory {
  readonly name: string
  /** Resident now, and at most so far, in megabytes of 10⁶ bytes. */
  readonly megabytes: number
  readonly peak: number
}

/** Of a process and of those that it started, itself first. Linux only. */
export async function memoryOf(pid: number, name = 'server'): Promise<readonly Memory[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  const own = {
    name,
    megabytes: kilobytes('VmRSS') * 1.024e-3,
    peak: kilobytes('VmHWM') * 1.024e-3,
  }
  const threads = await readdir(`/proc/${pid}/task`)
  const children = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8')),
  )
  const pids = children.flatMap((line) => line.trim().split(' ')).filter((text) => text !== '')
  const below = await Promise.all(pids.map((child) => memoryOf(Number(child), 'its child')))
  return [own, ...below.flat()]
}
