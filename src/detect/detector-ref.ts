import type { Provider } from './detection.ts'

// What the configuration says of detection. Each parser throws an Error whose message says what would be right.

/** Which version detects: a tag's name makes a move of the tag a rollout. */
export interface DetectorRef {
  /** `owner/name@ref`, as configured. */
  readonly text: string
  readonly owner: string
  readonly name: string
  readonly ref: string
}

export interface Canary {
  readonly ref: DetectorRef
  /** Of 100 requests. */
  readonly percent: number
}

/** `auto`: the first that runs the detector and finds what its golden texts say. */
export type Device = 'auto' | Provider

const DEVICES: readonly Device[] = ['auto', 'cuda', 'webgpu', 'cpu']
const PART = '[A-Za-z0-9][\\w.+-]{0,127}'
const REF = new RegExp(`^(${PART})/(${PART})@(${PART})$`)

/** Undefined for the empty text: no detection. */
export function parseDetector(text: string): DetectorRef | undefined {
  return text === '' ? undefined : parseRef(text)
}

export function parseCanary(text: string): Canary {
  const [, ref = '', digits = ''] = /^(.*):(\d{1,3})$/.exec(text) ?? []
  const percent = Number(digits)
  if (!(percent >= 1 && percent <= 100))
    throw new Error('must be owner/name@ref:PERCENT with 1 to 100 percent')
  return { ref: parseRef(ref), percent }
}

function parseRef(text: string): DetectorRef {
  const [, owner, name, ref] = REF.exec(text) ?? []
  if (owner === undefined || name === undefined || ref === undefined)
    throw new Error('must be owner/name@ref')
  return { text, owner, name, ref }
}

export function parseDevice(text: string): Device {
  const device = DEVICES.find((each) => each === text)
  if (device === undefined) throw new Error(`must be one of ${DEVICES.join(', ')}`)
  return device
}
