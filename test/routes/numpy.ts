// NumPy, asked what slices of the tensors of a file are: one process for all of them.

import { spawnSync } from 'node:child_process'

const PYTHON = process.env['PYTHON'] ?? 'python3'

export interface Question {
  readonly name: string
  readonly slice: string
}
/** Its shape, and its bytes in hex; null where NumPy has no such slice. */
export type Answer = { readonly shape: readonly number[]; readonly bytes: string } | null

// Integers of the same width stand for dtypes that NumPy doesn't have.
const SCRIPT = `
import json, struct, sys
import numpy as np
asked = json.load(sys.stdin)
with open(asked['path'], 'rb') as f:
    size, = struct.unpack('<Q', f.read(8))
    header = json.loads(f.read(size))
    data = f.read()
tensors = {}
for name, entry in header.items():
    if name == '__metadata__': continue
    begin, end = entry['data_offsets']
    dtype = np.dtype(f"<u{asked['widths'][entry['dtype']]}")
    tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(entry['shape'])
answers = []
for question in asked['questions']:
    try:
        got = eval(f"tensor[{question['slice']}]", {'tensor': tensors[question['name']]})
        answers.append({'shape': list(got.shape), 'bytes': np.ascontiguousarray(got).tobytes().hex()})
    except (IndexError, SyntaxError, ValueError):
        answers.append(None)
json.dump(answers, sys.stdout)
`

/** Whether Python and NumPy are on this machine. */
export function hasNumpy(): boolean {
  return spawnSync(PYTHON, ['-c', 'import numpy']).status === 0
}

/** The answers in the order of the questions; `widths` says how many bytes an element of each dtype has. */
export function askNumpy(
  path: string,
  widths: Readonly<Record<string, number>>,
  questions: readonly Question[],
): readonly Answer[] {
  const run = spawnSync(PYTHON, ['-c', SCRIPT], {
    input: JSON.stringify({ path, widths, questions }),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  })
  if (run.status !== 0) throw new Error(`NumPy failed: ${run.stderr}`)
  return JSON.parse(run.stdout) as readonly Answer[]
}
