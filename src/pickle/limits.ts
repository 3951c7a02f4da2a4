import type { CheckpointLimits } from './checkpoint.ts'
import type { StateDictLimits } from './state-dict.ts'

export interface ConversionLimits extends CheckpointLimits, StateDictLimits {
  /** Of the new file, as a multiple of the old one's bytes, 64 MiB more. */
  readonly maxGrowth: number
}

export const DEFAULT_LIMITS: ConversionLimits = {
  maxPickleBytes: 64 * 1024 * 1024,
  // Of a parameter PyTorch writes 40 opcodes and remembers 11 values: so many are 200,000 of them.
  maxOpcodes: 10_000_000,
  maxValues: 1_000_000,
  maxMemo: 3_000_000,
  maxBuiltBytes: 512 * 1024 * 1024,
  maxStringBytes: 1024 * 1024,
  maxBytes: 64 * 1024 * 1024,
  maxTensors: 200_000,
  maxRecords: 300_000,
  maxDirectoryBytes: 64 * 1024 * 1024,
  maxDepth: 100,
  maxVisits: 5_000_000,
  maxScalarLength: 4096,
  maxTextLength: 32 * 1024 * 1024,
  maxGrowth: 2,
}
