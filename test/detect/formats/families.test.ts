import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ACTIVATIONS, CASES, D_MODEL, TOKENS, WIDTH, writeCase } from './families.ts'
import { computed, imported, readingOnly } from './imported.ts'

// Each family's latents are those of its own code, as test/fixtures/sae/reference.py has them: once, in latents.json
// there, and computed anew where Python has NumPy.

type Table = readonly (readonly number[])[]

const FIXTURES = new URL('../../fixtures/sae/', import.meta.url)
const rows: Table = Array.from({ length: TOKENS }, (_, i) =>
  Array.from(ACTIVATIONS.subarray(i * D_MODEL, (i + 1) * D_MODEL)),
)
const folder = t.testdir()
const paths = CASES.map((one, i) => writeCase(one, join(folder, String(i))))
const expected = JSON.parse(readFileSync(new URL('latents.json', FIXTURES), 'utf8')) as Readonly<
  Record<string, Table>
>
const inNumPy = reference()

function reference(): readonly Table[] | undefined {
  const input = CASES.map(({ family, options = {} }, i) => ({
    family,
    path: paths[i],
    options,
    activations: rows,
  }))
  const script = new URL('reference.py', FIXTURES).pathname
  const { status, stdout } = spawnSync('python3', [script], { input: JSON.stringify(input) })
  return status === 0 ? (JSON.parse(String(stdout)) as Table[]) : undefined
}

const KEPT = [1, 3, 4, 7, 9]

for (const [i, { title, family, options }] of CASES.entries()) {
  t.test(`latents of ${title}`, async (t) => {
    const { detector } = await imported(
      paths[i] ?? '',
      family === 'llama-scope-saelens' || family === 'state-dict' ? family : undefined,
      [readingOnly(KEPT, WIDTH)],
      options,
    )
    const { sae } = detector.settings
    const kept = sae.architecture === 'topk' ? [...Array(WIDTH).keys()] : KEPT
    t.match(sae, { dModel: D_MODEL, width: WIDTH, rows: kept.length })
    t.match(detector.settings.scores, { imported: { family } })
    const { latents } = await computed(detector, ACTIVATIONS)
    const are = rows.map((_, token) => kept.map((_, row) => latents[token * kept.length + row] ?? NaN)) // prettier-ignore

    const active = are.flat().filter((latent) => latent > 0).length
    t.ok(active > 5 && active < are.flat().length, 'some are active, some are not')
    t.ok(differenceOf(are, pick(expected[title] ?? [], kept)) < 1e-5, 'as they were once')
    if (inNumPy === undefined) {
      t.comment('NOT COMPARED: python3 has no numpy here; `pip install numpy` brings it')
      return
    }
    t.ok(differenceOf(are, pick(inNumPy[i] ?? [], kept)) < 1e-5, 'as NumPy has them now')
  })
}

const pick = (table: Table, columns: readonly number[]): Table =>
  table.map((row) => columns.map((column) => row[column] ?? NaN))

/** The largest difference; Infinity where the tables are of other sizes. */
function differenceOf(a: Table, b: Table): number {
  if (a.length !== b.length) return Infinity
  const each = a.flatMap((row, i) => row.map((value, j) => Math.abs(value - (b[i]?.[j] ?? NaN))))
  return each.some(Number.isNaN) ? Infinity : Math.max(...each)
}
