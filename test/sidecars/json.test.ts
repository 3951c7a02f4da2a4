import fc from 'fast-check'
import t from 'tap'
import { createJsonReader, MAX_DEPTH } from '../../src/sidecars/json.ts'
import { faultIn } from './fixture.ts'

/** What JSON.parse makes of strict UTF-8. */
function parses(text: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text))
    return true
  } catch {
    return false
  }
}

const isGood = (text: Uint8Array, lengths?: readonly number[]): boolean =>
  faultIn(createJsonReader(), text, lengths) === undefined

/** JSON with spaces, escapes and numbers of all spellings, which JSON.stringify doesn't write. */
const spelled = fc.letrec((tie) => {
  const space = fc.constantFrom('', '', ' ', '\n', '\t\r ')
  const spaced = (inner: fc.Arbitrary<string>) =>
    fc.tuple(space, inner, space).map((parts) => parts.join(''))
  const list = (item: fc.Arbitrary<string>) =>
    fc.array(spaced(item), { maxLength: 4 }).map((items) => items.join(','))
  const value = tie('value') as fc.Arbitrary<string>
  const string = fc
    .array(fc.constantFrom('a', 'é', '漢', '🙂', '\\n', '\\u00e9', '\\ud83d', '\\"', '\\/', '\x7f'))
    .map((parts) => `"${parts.join('')}"`)
  return {
    value: fc.oneof(
      { maxDepth: 4 },
      string,
      fc.constantFrom('true', 'false', 'null', '0', '-0', '1.5', '-2e+10', '3E-7', '0.0e0', '12'),
      fc.tuple(space, list(value)).map((parts) => `[${parts.join('')}]`),
      fc
        .tuple(space, list(fc.tuple(spaced(string), spaced(value)).map((pair) => pair.join(':'))))
        .map((parts) => `{${parts.join('')}}`),
    ),
  }
}).value

const valid = fc.oneof(spelled, fc.json({ maxDepth: 5 })).map((text) => Buffer.from(text))

/** A byte changed, taken out, put in or cut off: nearly JSON. */
const nearly = fc
  .tuple(
    valid,
    fc.constantFrom('change', 'remove', 'insert', 'cut'),
    fc.nat(),
    fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\0-+.eEtfnu \n')), fc.nat(255)),
  )
  .map(([text, how, place, byte]) => {
    const at = place % (text.length + 1)
    const [head, rest] = [text.subarray(0, at), text.subarray(at)]
    if (how === 'cut') return head
    if (how === 'remove') return Buffer.concat([head, rest.subarray(1)])
    const one = Buffer.from([byte])
    return Buffer.concat([head, one, how === 'insert' ? rest : rest.subarray(1)])
  })

t.test('a text is JSON here exactly where JSON.parse reads it, however it is cut', async (t) => {
  let good = 0
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.oneof(valid, nearly), lengths, (text, lengths) => {
      const expected = parses(text)
      good += Number(expected)
      return isGood(text) === expected && isGood(text, lengths) === expected
    }),
    { seed: 20_240_917, numRuns: 20_000 },
  )
  t.ok(good > 5000 && good < 19_000, 'of both kinds there were many')
})

t.test('the byte at which it stops being JSON is told', async (t) => {
  for (const [text, at] of [
    ['', 0],
    ['  ', 2],
    ['{"a": 1', 7],
    ['{"a" 1}', 5],
    ['{"a": 1,}', 8],
    ['[1, 2,]', 6],
    ['[1 2]', 3],
    ['{1: 2}', 1],
    ["{'a': 1}", 1],
    ['01', 1],
    ['1.', 2],
    ['1.e5', 2],
    ['+1', 0],
    ['.5', 0],
    ['-', 1],
    ['NaN', 0],
    ['Infinity', 0],
    ['nulls', 4],
    ['tru', 3],
    ['"a\nb"', 2],
    ['"\\x"', 2],
    ['"\\u12g4"', 5],
    ['{} {}', 3],
    ['[]]', 2],
    ['[}', 1],
    ['\ufeff{}', 0],
    ['// no\n1', 0],
  ] as const)
    t.equal(faultIn(createJsonReader(), Buffer.from(text)), at, JSON.stringify(text))
})

t.test(
  'bytes that are not UTF-8 are refused where they stand, inside a string or not',
  async (t) => {
    for (const [bytes, at] of [
      ['22c3', 3],
      ['22c328', 2],
      ['22c0af22', 1],
      ['22eda08022', 2],
      ['22f490808022', 2],
      ['2280', 1],
      ['5bff', 1],
      ['fffe7b007d00', 0],
    ] as const) {
      const text = Buffer.from(bytes, 'hex')
      t.notOk(parses(text))
      t.equal(faultIn(createJsonReader(), text), at < text.length ? at : text.length, bytes)
    }
  },
)

t.test('a text is nested as deep as it may be, and no deeper', async (t) => {
  const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
  t.equal(faultIn(createJsonReader(), nested(MAX_DEPTH)), undefined)
  t.equal(faultIn(createJsonReader(), nested(MAX_DEPTH + 1)), MAX_DEPTH)
  const objects = Buffer.from('{"a":'.repeat(MAX_DEPTH + 1))
  t.equal(faultIn(createJsonReader(), objects), 5 * MAX_DEPTH)
})

t.test('a text of millions of values takes no memory to speak of', async (t) => {
  const wide = Buffer.from(`[${'[],'.repeat(3_000_000)}[]]`)
  const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
  t.equal(faultIn(createJsonReader(), wide), undefined)
  const after = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
  t.ok(after - before < 20_000_000, `${after - before}`)
})
