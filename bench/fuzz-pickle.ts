// Reads mutated checkpoints for as long as it is told:
//   npm run fuzz:pickle -- --seconds 900 [--seed N] [--count N]
// Each is scanned, and converted or refused: by nothing but a ConversionRefused, within a second of processor time, in
// bounded memory. What is converted is so twice to the same bytes, and is no scan's attack. Where $STRONGROOM_PYTHON
// (python3 unless set) has torch and safetensors, torch.load reads the same tensors from it. Exits 1 at the first batch
// with a file that breaks a rule; its seed and where the file lies are printed.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { convert } from '../src/pickle/convert.ts'
import { DEFAULT_LIMITS } from '../src/pickle/limits.ts'
import { ConversionRefused } from '../src/pickle/refused.ts'
import { scan } from '../src/pickle/scan/report.ts'
import { sourceOfBytes } from '../src/pickle/source.ts'
import { mutant } from './fuzz-pickle/mutants.ts'
import { askOracle, type Case, hasOracle } from './fuzz-pickle/oracle.ts'

const MOST_PROCESSOR_MS = 1000
const MOST_MEMORY_BYTES = 1024 * 1024 * 1024

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    count: { type: 'string', default: '2000' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'fuzz-pickle-'))
const deadline = performance.now() + Number(values.seconds) * 1000
const isCompared = hasOracle()
const limits = { ...DEFAULT_LIMITS, maxVisits: 100_000 }
const OPTIONS = { root: undefined, writesTiedTwice: true, isOpaqueAllowed: false, limits }
const counts = { files: 0, converted: 0, dangerous: 0 }
let seed = Number(values.seed ?? Date.now() % 2 ** 31)
let wrong = 0

function report(path: string, why: string): void {
  wrong += 1
  console.log(`seed ${seed}: ${path}: ${why}`)
}

/** @returns where the weights lay; undefined of what is refused */
function converted(path: string, sizeBytes: number, made: string): string | undefined {
  const [from, to] = [openSync(path, 'r'), openSync(made, 'w+')]
  try {
    return convert({ fd: from, sizeBytes }, to, OPTIONS).root
  } catch (error) {
    if (error instanceof ConversionRefused) return undefined
    throw error
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

function tried(file: Buffer, path: string): Case | undefined {
  writeFileSync(path, file)
  const before = process.cpuUsage()
  const { verdict } = scan(sourceOfBytes(file))
  const made = `${path}.safetensors`
  const root = converted(path, file.length, made)
  const { user, system } = process.cpuUsage(before)
  if ((user + system) / 1000 > MOST_PROCESSOR_MS) report(path, `took ${(user + system) / 1000} ms`)
  if (verdict === 'dangerous') counts.dangerous += 1
  if (root === undefined) return undefined
  counts.converted += 1
  if (verdict !== 'clean') report(path, `was converted, and a scan says ${verdict}`)
  const again = `${path}.again`
  converted(path, file.length, again)
  if (!readFileSync(made).equals(readFileSync(again))) report(path, 'gives other bytes next time')
  return { path, made, root }
}

if (!isCompared) console.log('python3 has no torch and safetensors: nothing is compared with it')
do {
  const files = fc.sample(mutant, { seed, numRuns: Number(values.count) })
  const cases: Case[] = []
  for (const [i, file] of files.entries()) {
    const path = join(folder, `${seed}-${i}.pt`)
    try {
      const found = tried(file, path)
      if (found !== undefined) cases.push(found)
      else if (wrong === 0) rmSync(path)
    } catch (error) {
      report(path, error instanceof Error ? (error.stack ?? '') : '')
    }
  }
  counts.files += files.length
  if (isCompared)
    for (const [i, why] of askOracle(cases, folder).entries())
      if (why !== '') report(cases[i]?.path ?? '', why)
  if (process.memoryUsage().rss > MOST_MEMORY_BYTES) report(folder, `took ${process.memoryUsage().rss} bytes of memory`) // prettier-ignore
  if (wrong === 0) for (const { path } of cases) for (const end of ['', '.safetensors', '.again']) rmSync(path + end) // prettier-ignore
  seed += 1
} while (performance.now() < deadline && wrong === 0)
if (wrong === 0) rmSync(folder, { recursive: true })
else process.exitCode = 1
console.log(
  `${counts.files} files: ${counts.converted} converted, ${counts.dangerous} dangerous, ${wrong} wrong; next seed ${seed}`,
)
