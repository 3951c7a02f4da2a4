import { DEFAULT_LIMITS } from '../limits.ts'
import type { ScanLimits } from './scan.ts'

const ENTRY_BYTES = 64 * 1024 * 1024

export const SCAN_LIMITS: ScanLimits = {
  ...DEFAULT_LIMITS,
  maxStringBytes: ENTRY_BYTES,
  maxBytes: ENTRY_BYTES,
  isLenient: true,
  maxFindings: 1000,
  maxEntryBytes: ENTRY_BYTES,
  maxInflatedBytes: 4 * ENTRY_BYTES,
  maxNesting: 4,
  maxMembers: 600_000,
  maxPickles: 100_000,
  maxAllOpcodes: 40_000_000,
  maxReadBytes: 64 * ENTRY_BYTES,
}
