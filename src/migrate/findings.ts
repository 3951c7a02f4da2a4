import type { ScanFinding } from '../pickle/scan/scan.ts'

/** A finding as the contract has it. */
export interface Finding {
  readonly entry: string
  readonly offset: number
  readonly global: string
  readonly via: string
  readonly invoked: boolean
  readonly args_preview?: string
}

export const findingOf = ({
  entry,
  offset,
  global,
  via,
  invoked,
  argsPreview,
}: ScanFinding): Finding => ({
  entry,
  offset,
  global,
  via,
  invoked,
  ...(argsPreview === undefined ? {} : { args_preview: argsPreview }),
})
