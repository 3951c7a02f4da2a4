// Compares conversions with torch, bit for bit, on random checkpoints that torch writes and reads:
//   node bench/migrate-differential.ts --python PYTHON --count 300 --seed 1
// PYTHON needs torch and safetensors. Exits 1 where a checkpoint isn't converted to what torch.load(weights_only=True) reads
// from it, and keeps the files of that run.

import { execFile } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { convert } from '../src/pickle/convert.ts'
import { DEFAULT_LIMITS } from '../src/pickle/limits.ts'
import { tensorAt } from '../src/safetensors/columns.ts'
import { validate } from '../src/safetensors/stream.ts'

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    count: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
})

async function converted(path: string, root: string): Promise<Buffer> {
  const [source, target] = [await open(path, 'r'), await open(`${path}.converted`, 'w+')]
  try {
    const { size } = await source.stat()
    const options = { root, writesTiedTwice: true, isOpaqueAllowed: false, limits: DEFAULT_LIMITS }
    convert({ fd: source.fd, sizeBytes: size }, target.fd, options)
  } finally {
    await source.close()
    await target.close()
  }
  return await readFile(`${path}.converted`)
}

/** Name, dtype, shape and bytes of all tensors. */
function contentOf(file: Buffer): string {
  const { columns } = validate(file)
  const tensors = Array.from({ length: columns.count }, (_, i) => {
    const { name, dtype, shape, begin, end } = tensorAt(columns, i)
    return [name, dtype, shape, file.toString('hex', begin, end)]
  })
  return tensors.map((tensor) => JSON.stringify(tensor)).sort().join('\n') // prettier-ignore
}

const folder = await mkdtemp(join(tmpdir(), 'migrate-differential-'))
const script = join(import.meta.dirname, 'migrate/random_checkpoints.py')
const { stdout } = await promisify(execFile)(values.python, [script, folder, values.seed, values.count]) // prettier-ignore
const roots = stdout.trim().split('\n').map((line) => JSON.parse(line) as string) // prettier-ignore
const counts = { tensors: 0, bytes: 0 }
for (const [i, root] of roots.entries()) {
  const wanted = await readFile(join(folder, `${i}.safetensors`))
  counts.tensors += validate(wanted).columns.count
  counts.bytes += wanted.length
  try {
    if (contentOf(await converted(join(folder, `${i}.pt`), root)) === contentOf(wanted)) continue
    console.log(`${i}.pt is not what torch reads`)
  } catch (error) {
    console.log(`${i}.pt:`, error)
  }
  process.exitCode = 1
}
const verdict = process.exitCode === 1 ? `see ${folder}` : 'all as torch reads them'
console.log(`seed ${values.seed}: ${roots.length} checkpoints, ${counts.tensors} tensors, ${counts.bytes} bytes: ${verdict}`) // prettier-ignore
if (process.exitCode !== 1) await rm(folder, { recursive: true })
