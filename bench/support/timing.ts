/** The value below which a share of the numbers lies (nearest rank). */
function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

/** Of times in milliseconds. */
export const spread = (times: readonly number[]): string =>
  `p50 ${percentile(times, 0.5).toFixed(1)} ms, p95 ${percentile(times, 0.95).toFixed(1)} ms`

export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const began = performance.now()
  const result = await work()
  return { result, ms: performance.now() - began }
}

/**
 * So many callers, each with the next text as soon as it has the answer to one.
 *
 * @returns texts a second.
 */
export async function throughput(
  texts: readonly string[],
  callers: number,
  seconds: number,
  ask: (text: string, caller: number) => Promise<unknown>,
): Promise<number> {
  const began = performance.now()
  const end = began + seconds * 1000
  let next = 0
  let answered = 0
  const call = async (_: unknown, caller: number): Promise<void> => {
    while (performance.now() < end) {
      await ask(texts[next++ % texts.length] ?? '', caller)
      answered += 1
    }
  }
  await Promise.all(Array.from({ length: callers }, call))
  return answered / ((performance.now() - began) / 1000)
}
