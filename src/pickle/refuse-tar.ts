import { HEAD_BYTES } from '../safetensors/sniff.ts'
import { hasTarChecksum } from '../safetensors/sniff-tar.ts'
import { ConversionRefused } from './refused.ts'
import type { Source } from './source.ts'

/**
 * Of what doesn't begin as ZIP does torch.load first asks whether it is a tar archive, and then runs the pickle in that
 * one: a header's checksum fits into the text of a pickle, or of safetensors, too.
 *
 * @throws {ConversionRefused}
 */
export function refuseTar(source: Source): void {
  if (source.sizeBytes < HEAD_BYTES || !hasTarChecksum(source.take(0, HEAD_BYTES))) return
  throw new ConversionRefused('not_a_checkpoint', 'it is no checkpoint of torch.save: it looks like tar, whatever else it looks like') // prettier-ignore
}
