import fc from 'fast-check'
import t from 'tap'
import { compareWithOracle } from '../../bench/fuzz-safetensors/compare.ts'
import { mutant } from '../../bench/fuzz-safetensors/mutants.ts'
import { hasOracle } from '../../bench/fuzz-safetensors/oracle.ts'

const FILES = fc.sample(mutant, { seed: 20_240_604, numRuns: 3000 })

t.test('whatever we accept, the reference reader accepts and reads the same from', async (t) => {
  if (!hasOracle()) {
    t.comment('NOT COMPARED: python3 has no safetensors here; `pip install safetensors` brings it')
    t.pass('the comparison needs the reference reader, which is not a dependency of the registry')
    return
  }
  const { wrong, ...counts } = compareWithOracle(FILES, t.testdir())
  t.comment(counts)
  t.strictSame(
    wrong.map((file) => Buffer.from(file).toString('latin1')),
    [],
  )
  // Or the comparison would say little.
  t.ok(counts.accepted > FILES.length / 10 && counts.refused > FILES.length / 10)
})
