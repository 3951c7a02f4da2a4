// Compares the validator with the reference reader on mutated files, for as long as it is told:
//   node bench/fuzz-safetensors.ts --seconds 600
// Needs a python3 (or $PYTHON) with `safetensors`. Exits 1 at the first file that we accept and the reference
// doesn't, or reads differently; the file is printed in Base64, with the seed that made it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { compareWithOracle } from './fuzz-safetensors/compare.ts'
import { mutant } from './fuzz-safetensors/mutants.ts'

const BATCH = 5000

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
})
const folder = mkdtempSync(join(tmpdir(), 'fuzz-safetensors-'))
const deadline = performance.now() + Number(values.seconds) * 1000
const counts = { accepted: 0, stricter: 0, refused: 0 }
let seed = Number(values.seed ?? Date.now() % 2 ** 31)

try {
  do {
    const { wrong, ...more } = compareWithOracle(
      fc.sample(mutant, { seed, numRuns: BATCH }),
      folder,
    )
    counts.accepted += more.accepted
    counts.stricter += more.stricter
    counts.refused += more.refused
    for (const file of wrong) console.log(`seed ${seed}: ${Buffer.from(file).toString('base64')}`)
    if (wrong.length > 0) process.exitCode = 1
    seed += 1
  } while (performance.now() < deadline && process.exitCode !== 1)
} finally {
  rmSync(folder, { recursive: true })
}
const { accepted, stricter, refused } = counts
console.log(
  `${accepted} accepted by both, ${refused} refused by both, ${stricter} refused by us alone`,
)
