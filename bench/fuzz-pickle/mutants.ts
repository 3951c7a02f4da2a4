// Checkpoints that are nearly as torch writes them: programs of opcodes in a sound file, and real files with bytes, opcodes
// or parts of their archive changed, checksums right again.

import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { readInstruction } from '../../src/pickle/read-opcodes.ts'
import { sourceOfBytes } from '../../src/pickle/source.ts'
import { readTorchZip } from '../../src/pickle/torch-zip.ts'
import { ConversionRefused } from '../../src/pickle/refused.ts'
import { FLOATS, join, legacy, pickle, records, zip, type ZipEntry } from './assembler.ts' // prettier-ignore
import { program } from './programs.ts'

const FOLDER = new URL('../../test/fixtures/legacy/', import.meta.url)
const FIXTURES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.pt'))
  .map((name) => readFileSync(new URL(name, FOLDER)))

/** The records of a file that torch wrote; undefined of another. */
function recordsOf(file: Buffer): ZipEntry[] | undefined {
  try {
    const { root, records } = readTorchZip(sourceOfBytes(file), DEFAULT_LIMITS)
    return [...records.values()].map(({ name, begin, end }) => ({
      name: root + name,
      bytes: file.subarray(begin, end),
    }))
  } catch (error) {
    if (error instanceof ConversionRefused) return undefined
    throw error
  }
}

const ARCHIVES = FIXTURES.flatMap((file) => {
  const found = recordsOf(file)
  return found === undefined ? [] : [found]
})

interface Change {
  readonly kind: 'drop' | 'repeat' | 'swap' | 'insert' | 'byte'
  /** Of the whole. */
  readonly at: number
  readonly to: number
  readonly bytes: Uint8Array
}

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('drop', 'repeat', 'swap', 'insert', 'byte'),
  at: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
  to: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 3 }),
})
const changes = fc.array(change, { minLength: 1, maxLength: 3 })

/** A list with one thing changed. */
function changed<T>(list: readonly T[], { kind, at, to }: Change, other: (one: T) => T): T[] {
  const next = [...list]
  const i = Math.floor(at * list.length)
  const j = Math.floor(to * list.length)
  const [one, two] = [list[i], list[j]]
  if (one === undefined || two === undefined) return next
  if (kind === 'drop') next.splice(i, 1)
  else if (kind === 'repeat') next.splice(j, 0, one)
  else if (kind === 'swap') [next[i], next[j]] = [two, one]
  else next.splice(i, 1, other(one))
  return next
}

function withByte(bytes: Uint8Array, { kind, to, bytes: more }: Change): Buffer {
  const found = Buffer.from(bytes)
  const at = Math.floor(to * found.length)
  if (kind === 'insert') return join(found.subarray(0, at), more, found.subarray(at))
  if (found.length > 0) found[at] = more[0] ?? 0
  return found
}

/** As far as they are read. */
function instructionsOf(bytes: Uint8Array): Buffer[] {
  const found: Buffer[] = []
  try {
    for (let at = 0; at < bytes.length;) {
      const { end } = readInstruction(bytes, at, DEFAULT_LIMITS)
      found.push(Buffer.from(bytes.subarray(at, end)))
      at = end
    }
  } catch {
    // What follows goes.
  }
  return found
}

const changedPickle = (bytes: Uint8Array, all: readonly Change[]): Buffer =>
  join(
    ...all.reduce(
      (codes, each) => changed(codes, each, (code) => withByte(code, each)),
      instructionsOf(bytes),
    ),
  )

const opcodes = fc
  .tuple(fc.constantFrom(...ARCHIVES), changes)
  .map(([entries, all]) =>
    zip(
      entries.map((entry) =>
        entry.name.endsWith('/data.pkl')
          ? { ...entry, bytes: changedPickle(entry.bytes, all) }
          : entry,
      ),
    ),
  )

const NAMES = ['data.pkl', 'DATA.pkl', 'data/0', 'data/1', 'version', 'byteorder', 'constants.pkl', '../x', 'a\\b', 'x\0y'] // prettier-ignore

const lie: fc.Arbitrary<Partial<ZipEntry>> = fc.oneof(
  fc.record({ name: fc.constantFrom(...NAMES).map((name) => `archive/${name}`) }),
  fc.record({ method: fc.constantFrom(0, 8, 12, 99) }),
  fc.record({ flags: fc.constantFrom(0, 1, 8, 0x800, 0x808, 0x809, 0x2000) }),
  fc.record({ crc32: fc.nat() }),
  fc.record({ sizeBytes: fc.nat(300) }),
  fc.record({ storedBytes: fc.constantFrom(0, 24, 300, 0xffff_ffff) }),
  fc.record({ local: fc.record({ name: fc.constantFrom(...NAMES), sizeBytes: fc.nat(300) }) }),
  fc.record({ local: fc.record({ flags: fc.constantFrom(0, 8, 0x808), method: fc.constantFrom(0, 8) }) }), // prettier-ignore
  fc.record({ before: fc.uint8Array({ maxLength: 70 }) }),
  fc.record({ behind: fc.uint8Array({ maxLength: 70 }) }),
  fc.record({ descriptor: fc.uint8Array({ maxLength: 24 }) }),
  fc.record({ bytes: fc.uint8Array({ maxLength: 70 }) }),
  fc.record({ centralExtra: fc.uint8Array({ maxLength: 24 }) }),
)

const structure = fc
  .tuple(fc.constantFrom(...ARCHIVES), changes, lie, fc.boolean())
  .map(([entries, all, lie, isReversed]) => {
    const lying = all.reduce<readonly ZipEntry[]>(
      (list, each) => changed(list, each, (entry) => ({ ...entry, ...lie })),
      entries,
    )
    return zip(lying, isReversed ? { order: (list) => list.toReversed() } : {})
  })

const anyBytes = fc
  .tuple(fc.constantFrom(...FIXTURES), changes)
  .map(([file, all]) =>
    all.reduce<Buffer>((bytes, each) => withByte(bytes, { ...each, to: each.at }), file),
  )

const storages = { 0: FLOATS, 1: FLOATS }
const programs = fc.oneof(
  program.map((code) => zip(records(pickle(code), storages))),
  program.map((code) => zip(records(pickle(code)))),
  program.map((code) => legacy({ object: pickle(code) })),
  program.map((code) => legacy({ object: pickle(code), storages: [['0', 6, FLOATS], ['1', 6, FLOATS]] })), // prettier-ignore
  program.map((code) => pickle(code)),
  program.map((code) => join(code, '.')),
)

/** A file that a reader of checkpoints may be given. */
export const mutant: fc.Arbitrary<Buffer> = fc.oneof(programs, opcodes, structure, anyBytes)
