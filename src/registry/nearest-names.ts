import { setImmediate } from 'node:timers/promises'
import type { Ledger, VersionFile } from '../../db/ledger.ts'

const NEAREST = 5
/** Names that are looked at, in all: a guess isn't worth more. */
const MAX_CONSIDERED = 20_000
const NAMES_PER_TURN = 200
/** Of two names, what is compared from where they part: names may have 4096 bytes. */
const MAX_COMPARED = 64
const MAX_PARTS = 8

interface Guess {
  readonly name: string
  readonly distance: number
}

/**
 * Up to five names of tensors that differ least from one that there isn't. Of a version with more names than are looked
 * at, those that share the most leading parts (`model.layers.`) go first.
 */
export async function nearestNames(
  ledger: Ledger,
  files: readonly VersionFile[],
  wanted: string,
): Promise<readonly string[]> {
  let best: readonly Guess[] = []
  let left = MAX_CONSIDERED
  for (const prefix of leadingParts(wanted)) {
    for (const { blob } of files) {
      let after = prefix
      for (;;) {
        if (left <= 0) return best.map(({ name }) => name)
        const page = await ledger.tensorNames(blob.id, after, Math.min(NAMES_PER_TURN, left))
        // A file without any counts too, or a version of many files would never come to an end.
        left -= Math.max(1, page.length)
        const names = page.filter((name) => name.startsWith(prefix))
        for (const name of names) best = withGuess(best, name, wanted)
        await setImmediate()
        const last = page.at(-1)
        if (last === undefined || names.length < page.length) break
        after = last
      }
    }
  }
  return best.map(({ name }) => name)
}

/** `a.b.c` → `a.b.`, `a.`, and the beginning of every name. */
function leadingParts(name: string): readonly string[] {
  const parts = name.split('.', MAX_PARTS + 1).slice(0, -1)
  return [...parts.map((_, i) => `${parts.slice(0, i + 1).join('.')}.`).reverse(), '']
}

function withGuess(best: readonly Guess[], name: string, wanted: string): readonly Guess[] {
  if (best.some((guess) => guess.name === name)) return best
  const limit = best.length < NEAREST ? MAX_COMPARED : (best.at(-1)?.distance ?? 0) - 1
  let common = 0
  while (common < name.length && name[common] === wanted[common]) common += 1
  const [a, b] = [name, wanted].map((each) => each.slice(common, common + MAX_COMPARED))
  const distance = distanceOf(a ?? '', b ?? '', limit)
  if (distance > limit) return best
  return [...best, { name, distance }].sort((a, b) => a.distance - b.distance).slice(0, NEAREST)
}

/** Levenshtein's distance, or any number above `limit` when it is above it. */
function distanceOf(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let [above, row] = [new Uint16Array(MAX_COMPARED + 1), new Uint16Array(MAX_COMPARED + 1)]
  for (let j = 0; j <= b.length; j++) above[j] = j
  for (let i = 1; i <= a.length; i++) {
    const unit = a.charCodeAt(i - 1)
    let left = i
    let least = i
    row[0] = i
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (unit === b.charCodeAt(j - 1) ? 0 : 1)
      left = Math.min(replaced, (above[j] ?? 0) + 1, left + 1)
      row[j] = left
      least = Math.min(least, left)
    }
    if (least > limit) return limit + 1
    ;[above, row] = [row, above]
  }
  return above[b.length] ?? 0
}
