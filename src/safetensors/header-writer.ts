/** Data begins at a multiple of this, so that every dtype can be read in place. */
const ALIGNMENT = 8
/** Text is encoded in parts of about this size: one for each tensor would be many. */
const PART_CHARACTERS = 64 * 1024

/** A tensor as the header tells it: its bytes follow those of the tensor before. */
interface HeaderTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  /** In bytes. */
  readonly size: number
}

export interface HeaderWriter {
  readonly add: (tensor: HeaderTensor) => void
  /** Of all tensors so far. */
  readonly dataBytes: () => number
  /** Everything of the file before the first tensor: the length, the JSON, and the spaces that pad it. */
  readonly finish: () => Uint8Array<ArrayBuffer>
}

/**
 * Writes the header of a file, `__metadata__` first with its keys sorted, a tensor at a time. It is written member by
 * member: an object would lose a tensor named `__proto__` and reorder those named by numbers.
 */
export function createHeaderWriter(
  metadata: readonly (readonly [string, string])[] | undefined,
): HeaderWriter {
  const encoder = new TextEncoder()
  const parts: Uint8Array[] = []
  let text = metadata === undefined ? '{' : `{"__metadata__":${metadataText(metadata)}`
  let isFirst = metadata === undefined
  let begin = 0

  function encode(): void {
    parts.push(encoder.encode(text))
    text = ''
  }

  return {
    add({ name, dtype, shape, size }) {
      const end = begin + size
      const entry = JSON.stringify({ dtype, shape, data_offsets: [begin, end] })
      text += `${isFirst ? '' : ','}${JSON.stringify(name)}:${entry}`
      isFirst = false
      begin = end
      if (text.length > PART_CHARACTERS) encode()
    },
    dataBytes: () => begin,
    finish() {
      text += '}'
      encode()
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      const padded = Math.ceil(length / ALIGNMENT) * ALIGNMENT
      const header = new Uint8Array(8 + padded).fill(0x20, 8 + length)
      new DataView(header.buffer).setBigUint64(0, BigInt(padded), true)
      let at = 8
      for (const part of parts) {
        header.set(part, at)
        at += part.length
      }
      return header
    },
  }
}

function metadataText(metadata: readonly (readonly [string, string])[]): string {
  const members = metadata
    .toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)))
    .map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  return `{${members.join(',')}}`
}
