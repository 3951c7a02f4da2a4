import type { Config } from '../../config.ts'
import { startProcess } from './child-process.ts'
import type { FromChild } from './messages.ts'

/**
 * Whether a device that the configuration names runs anything here, found out in a process of its own.
 *
 * @returns what is wrong, for the operator; undefined where nothing is, or none is named or needed.
 */
export async function refuseDevice({
  DETECTOR: detector,
  DEVICE: device,
}: Pick<Config, 'DETECTOR' | 'DEVICE'>): Promise<string | undefined> {
  if (detector === undefined || device === 'auto') return undefined
  let heard: (message: FromChild) => void = () => undefined
  const answer = new Promise<FromChild>((resolve) => {
    heard = resolve
  })
  const child = startProcess((message) => {
    heard(message)
  })
  try {
    child.send({ kind: 'probe', provider: device })
    const said = await Promise.race([answer, child.ended])
    if (typeof said !== 'string' && said.kind === 'runs') return undefined
    const why = typeof said === 'string' ? said : said.kind === 'refused' ? said.why : said.kind
    return `STRONGROOM_DEVICE is ${device}, which doesn’t run here: ${why}`
  } finally {
    await child.release()
  }
}
