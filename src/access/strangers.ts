/** Counts requests without a good token per address, so that they leave a trace but fill no disk. */
export interface Strangers {
  count: (address: string) => void
  close: () => void
}

const MINUTE_MS = 60_000
/** Further addresses in one minute are counted together. */
const MAX_ADDRESSES = 1_000

export function countStrangers(report: (address: string, requests: number) => void): Strangers {
  let counts = new Map<string, number>()

  function tell(): void {
    const told = counts
    counts = new Map()
    for (const [address, requests] of told) report(address, requests)
  }

  const timer = setInterval(tell, MINUTE_MS)
  timer.unref()
  return {
    count: (address) => {
      const key = counts.has(address) || counts.size < MAX_ADDRESSES ? address : 'others'
      counts.set(key, (counts.get(key) ?? 0) + 1)
    },
    close: () => {
      clearInterval(timer)
      tell()
    },
  }
}
