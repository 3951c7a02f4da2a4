// The reference reader, Python's `safetensors` (a binding to the Rust crate), asked about many files at once.

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A tensor as the reference reads it: its bytes in hex. */
export interface OracleTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: string
}

const PYTHON = process.env['PYTHON'] ?? 'python3'

// Files come one after the other, each after its length; verdicts go out one a line, null for a refusal.
const SCRIPT = `
import json, struct, sys, safetensors
with open(sys.argv[1], 'rb') as cases, open(sys.argv[2], 'w') as verdicts:
    while size := cases.read(8):
        file = cases.read(struct.unpack('<Q', size)[0])
        try:
            read = [
                {'name': n, 'dtype': t['dtype'], 'shape': t['shape'], 'bytes': bytes(t['data']).hex()}
                for n, t in safetensors.deserialize(file)
            ]
        except safetensors.SafetensorError:
            read = None
        verdicts.write(json.dumps(read) + '\\n')
`

/** Whether Python and its `safetensors` are on this machine. */
export function hasOracle(): boolean {
  return spawnSync(PYTHON, ['-c', 'import safetensors']).status === 0
}

/** What the reference reads in each file, in no order; null where it refuses. `folder` is for passing them. */
export function askOracle(
  files: readonly Uint8Array[],
  folder: string,
): readonly (readonly OracleTensor[] | null)[] {
  const cases = join(folder, 'cases')
  const verdicts = join(folder, 'verdicts')
  const parts = files.flatMap((file) => {
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(file.length))
    return [size, file]
  })
  writeFileSync(cases, Buffer.concat(parts))
  const run = spawnSync(PYTHON, ['-c', SCRIPT, cases, verdicts], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`the reference reader failed: ${run.stderr}`)
  const lines = readFileSync(verdicts, 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as readonly OracleTensor[] | null)
}
