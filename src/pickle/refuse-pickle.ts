import { ConversionRefused } from './refused.ts'
import { SCAN_LIMITS } from './scan/limits.ts'
import { picklesIn } from './scan/scan.ts'
import type { Source } from './source.ts'

/**
 * A header's length and text can be chosen so that a valid safetensors file is a pickle too, for whoever takes it for one.
 *
 * @throws {ConversionRefused}
 */
export function refusePickle(source: Source): void {
  const { findings, isReadOut } = picklesIn(source, SCAN_LIMITS)
  if (findings.length > 0)
    throw new ConversionRefused('pickle', 'it is safetensors, and a pickle that runs code too')
  if (!isReadOut)
    throw new ConversionRefused('pickle', 'it is safetensors, and could be a pickle too, which can’t be read to its end') // prettier-ignore
}
