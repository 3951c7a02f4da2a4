import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { OPCODES } from '../../src/pickle/opcodes.ts'
import { checkpoint, dict, GOOD, int, join, legacy, list, pickle, records, tensor, tuple, zip } from '../../bench/fuzz-pickle/assembler.ts' // prettier-ignore
import { mutant } from '../../bench/fuzz-pickle/mutants.ts'
import { scan } from '../../src/pickle/scan/report.ts'
import { sourceOfBytes } from '../../src/pickle/source.ts'
import { converted, judged, refused } from './converting.ts'

// Whatever the bytes, they are converted or refused. `refused` throws any other error on; what hangs, or takes the memory
// of the machine, fails too.

const real = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/legacy/${name}.pt`, import.meta.url))

const PICKLE = pickle(dict({ weight: tensor(), 0: list(int(1), tuple(int(2), 'N')) }))
const FILES = [GOOD, legacy(), checkpoint(dict({ a: dict({ b: tensor() }) })), real('views'), real('trainer-before-1.6'), real('tied')] // prettier-ignore

/** Small, or everything goes into the disk. */
const limits = { maxVisits: 20_000, maxGrowth: 2 }

const RUNS = { seed: 20_261_123, numRuns: 1500 }

const change = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 64 }) }),
  fc.record({ kind: fc.constant('copy' as const), at: fc.nat(), from: fc.nat(), length: fc.integer({ min: 1, max: 64 }) }),
) // prettier-ignore

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

function changed(file: Buffer, change: Change): Buffer {
  const at = change.at % (file.length + 1)
  switch (change.kind) {
    case 'set':
      return join(file.subarray(0, at), change.bytes, file.subarray(at + change.bytes.length))
    case 'cut':
      return join(file.subarray(0, at), file.subarray(at + change.length))
    default: {
      const from = change.from % (file.length + 1)
      return join(
        file.subarray(0, at),
        file.subarray(from, from + change.length),
        file.subarray(at),
      )
    }
  }
}

const changes = fc.array(change, { minLength: 1, maxLength: 3 })

/** How many of the runs ended in each way. */
function tally(): {
  readonly count: (verdict: string) => void
  readonly counts: Map<string, number>
} {
  const counts = new Map<string, number>()
  return {
    counts,
    count(verdict) {
      const reason = verdict.split(':')[0] ?? ''
      counts.set(reason, (counts.get(reason) ?? 0) + 1)
    },
  }
}

t.test('any bytes are refused', async (t) => {
  const { count, counts } = tally()
  const heads = fc.constantFrom(Buffer.alloc(0), GOOD.subarray(0, 64), legacy().subarray(0, 15))
  fc.assert(
    fc.property(heads, fc.uint8Array({ maxLength: 300 }), (head, bytes) => {
      count(refused(join(head, bytes), { limits }))
    }),
    RUNS,
  )
  t.notOk(counts.has('not refused'))
})

t.test('a damaged checkpoint is converted or refused', async (t) => {
  const { count, counts } = tally()
  fc.assert(
    fc.property(fc.constantFrom(...FILES), changes, (file, changes) => {
      count(judged(changes.reduce(changed, file), { limits }))
    }),
    RUNS,
  )
  t.comment(Object.fromEntries(counts))
  t.ok((counts.get('damaged') ?? 0) > 100)
})

t.test('a checkpoint whose pickle is damaged, and its checksum right, too', async (t) => {
  const { count, counts } = tally()
  fc.assert(
    fc.property(changes, fc.boolean(), (changes, isOpaqueAllowed) => {
      const object = changes.reduce(changed, PICKLE)
      count(refused(zip(records(object)), { limits, isOpaqueAllowed }))
      count(refused(legacy({ object }), { limits, isOpaqueAllowed }))
    }),
    RUNS,
  )
  t.comment(Object.fromEntries(counts))
  t.ok((counts.get('pickle') ?? 0) > 100)
})

const opcode = fc
  .constantFrom(...OPCODES.keys())
  .chain((code) =>
    fc.uint8Array({ maxLength: 5 }).map((argument) => join(Buffer.from([code]), argument)),
  )
const code = fc.oneof(
  { weight: 2, arbitrary: opcode },
  {
    weight: 5,
    arbitrary: fc.constantFrom('}', ']', ')', '(', 'N', '\x88', 'K\x01', 'u', 's', 'e', 'a', 't', '\x85', '\x86', '\x87', 'R', 'b', 'Q', 'q\x00', 'h\x00', 'q\x01', 'h\x01', 'X\x01\0\0\0w', 'X\x05\0\0\0model', 'ctorch._utils\n_rebuild_tensor_v2\n', 'ctorch._utils\n_rebuild_parameter\n', 'ctorch._tensor\n_rebuild_from_type_v2\n', 'ccollections\nOrderedDict\n', 'c_codecs\nencode\n', 'ctorch\nSize\n', 'ctorch\nFloatStorage\n', 'cos\nsystem\n', tensor().toString('latin1'), tensor({ shape: [5], strides: [0] }).toString('latin1')).map((code) => join(code)),
  },
) // prettier-ignore

t.test('any opcodes are read or refused', async (t) => {
  const { count, counts } = tally()
  fc.assert(
    fc.property(fc.array(code, { maxLength: 30 }), fc.boolean(), (codes, isOpaqueAllowed) => {
      const object = pickle(...codes)
      count(
        refused(checkpoint(dict({ w: tensor(), x: join(...codes) })), { limits, isOpaqueAllowed }),
      )
      count(refused(zip(records(object)), { limits, isOpaqueAllowed }))
    }),
    RUNS,
  )
  t.comment(Object.fromEntries(counts))
  t.ok((counts.get('pickle') ?? 0) > 100)
})

t.test('an archive whose headers are damaged is refused or the same', async (t) => {
  const { count, counts } = tally()
  const end = GOOD.length
  const begin = GOOD.indexOf('PK\x01\x02', 0, 'latin1')
  fc.assert(
    fc.property(fc.integer({ min: begin, max: end - 1 }), fc.nat(255), (at, byte) => {
      const file = Buffer.from(GOOD)
      file.writeUInt8(byte, at)
      count(judged(file, { limits }))
    }),
    RUNS,
  )
  t.comment(Object.fromEntries(counts))
  t.ok((counts.get('damaged') ?? 0) > 100)
})

t.test('a scan takes any of them, and calls nothing clean that is refused', async (t) => {
  const verdicts = new Map<string, number>()
  fc.assert(
    fc.property(mutant, (file) => {
      const { verdict } = scan(sourceOfBytes(file))
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
      const why = judged(file, { limits })
      // Which of its parts are the weights isn't a scan's to say.
      return verdict !== 'clean' || why === 'not refused' || why.startsWith('root: ')
    }),
    { ...RUNS, numRuns: 500 },
  )
  t.comment(Object.fromEntries(verdicts))
  t.ok((verdicts.get('clean') ?? 0) > 5 && (verdicts.get('dangerous') ?? 0) > 1)
})

t.test('what is converted is so to the same bytes again', async (t) => {
  let count = 0
  for (const file of fc.sample(mutant, { ...RUNS, numRuns: 250 })) {
    if (judged(file, { limits }) !== 'not refused') continue
    count += 1
    t.ok(converted(file, { limits }).file.equals(converted(file, { limits }).file))
    t.equal(scan(sourceOfBytes(file)).verdict, 'clean')
  }
  t.ok(count > 5)
})
