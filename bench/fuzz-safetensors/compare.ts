import { tensorAt } from '../../src/safetensors/columns.ts'
import { SafetensorsError } from '../../src/safetensors/safetensors-error.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { askOracle } from './oracle.ts'
import type { OracleTensor } from './oracle.ts'

/** How our verdicts and the reference's went together. */
interface Comparison {
  /** Accepted by both, with the same tensors. */
  readonly accepted: number
  /** Refused by us only, which is allowed. */
  readonly stricter: number
  readonly refused: number
  /** Accepted by us, but not by the reference, or read differently: each is a bug. */
  readonly wrong: readonly Uint8Array[]
}

/** Asks both about each file. Whatever we accept, the reference must accept and read the same from. */
export function compareWithOracle(files: readonly Uint8Array[], folder: string): Comparison {
  const theirs = askOracle(files, folder)
  const wrong: Uint8Array[] = []
  let accepted = 0
  let stricter = 0
  let refused = 0
  for (const [i, file] of files.entries()) {
    const ours = read(file)
    const their = theirs[i] ?? null
    if (ours === null && their === null) refused += 1
    else if (ours === null) stricter += 1
    else if (their !== null && canonical(ours) === canonical(their)) accepted += 1
    else wrong.push(file)
  }
  return { accepted, stricter, refused, wrong }
}

function read(file: Uint8Array): OracleTensor[] | null {
  try {
    const { columns } = validate(file)
    return Array.from({ length: columns.count }, (_, i) => {
      const { begin, end, ...tensor } = tensorAt(columns, i)
      return { ...tensor, bytes: Buffer.from(file.subarray(begin, end)).toString('hex') }
    })
  } catch (error) {
    if (error instanceof SafetensorsError) return null
    throw error
  }
}

function canonical(tensors: readonly OracleTensor[]): string {
  const rows = tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, shape, bytes])
  return rows
    .map((row) => JSON.stringify(row))
    .sort()
    .join()
}
