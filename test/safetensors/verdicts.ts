import type { Test } from 'tap'
import { SafetensorsError } from '../../src/safetensors/safetensors-error.ts'
import type { Reason } from '../../src/safetensors/safetensors-error.ts'
import { createValidator } from '../../src/safetensors/stream.ts'
import type { ValidatorOptions } from '../../src/safetensors/stream.ts'
import { tensorAt } from '../../src/safetensors/columns.ts'

/** Everything that a validator says of a file, for comparing; errors that aren't refusals are thrown. */
export function verdictOf(chunks: Iterable<Uint8Array>, options?: ValidatorOptions) {
  const validator = createValidator(options)
  try {
    for (const chunk of chunks) validator.write(chunk)
    const { columns, ...header } = validator.end()
    const tensors = Array.from({ length: columns.count }, (_, i) => tensorAt(columns, i))
    return { ...header, tensors }
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const { reason, offset, tensor, looksLike } = error
    return { reason, offset, tensor, looksLike }
  }
}

/** Runs of `bytes` of the given lengths, repeated to the end. */
export function* chunksOf(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let at = 0
  for (let i = 0; at < bytes.length; i += 1) {
    const length = lengths[i % lengths.length] ?? bytes.length
    yield bytes.subarray(at, at + length)
    at += length
  }
}

/** What it is, the file, why it is refused, and (for some) the byte and the tensor. */
export type Refusal = readonly [string, Uint8Array, Reason, (number | undefined)?, string?]

/** Each is refused for its reason, whether or not the file's size is known beforehand. */
export function testRefusals(t: Test, refusals: readonly Refusal[]): void {
  for (const [title, file, reason, offset, tensor] of refusals)
    t.test(`${reason}: ${title}`, async (t) => {
      const verdict = verdictOf([file])
      t.match(verdict, { reason })
      if (offset !== undefined) t.match(verdict, { offset })
      if (tensor !== undefined) t.match(verdict, { tensor })
      t.match(verdictOf([file], { fileBytes: file.length }), { reason })
    })
}

/** What to expect of a throw. */
export function refusal(facts: { reason: Reason; offset?: number; tensor?: string }) {
  return { name: 'SafetensorsError', ...facts }
}
