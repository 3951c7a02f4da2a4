/**
 * A float of 8 or 16 bits: a sign, an exponent and a fraction, from the highest bit down. Sources: IEEE 754 binary16;
 * bfloat16; OCP 8-bit floating point (E4M3, E5M2); OCP Microscaling (E8M0); Noune and others, arXiv 2206.02915 (FNUZ).
 */
interface SmallFloat {
  readonly exponentBits: number
  readonly fractionBits: number
  readonly bias: number
  /**
   * Which codes are not finite. `ieee`: a full exponent is an infinity, or NaN where the fraction isn't 0. `full`: NaN
   * where exponent and fraction are full, no infinities. `negative_zero`: NaN where −0 would be, no infinities.
   * `power`: an exponent alone, no sign and no zero, NaN where it is full.
   */
  readonly notFinite: 'ieee' | 'full' | 'negative_zero' | 'power'
}

/** Named as dtypes; the format's `F8_E4M3` is the variant without infinities that libraries call e4m3fn. */
const SMALL_FLOATS = {
  F16: { exponentBits: 5, fractionBits: 10, bias: 15, notFinite: 'ieee' },
  BF16: { exponentBits: 8, fractionBits: 7, bias: 127, notFinite: 'ieee' },
  F8_E5M2: { exponentBits: 5, fractionBits: 2, bias: 15, notFinite: 'ieee' },
  F8_E4M3: { exponentBits: 4, fractionBits: 3, bias: 7, notFinite: 'full' },
  F8_E8M0: { exponentBits: 8, fractionBits: 0, bias: 127, notFinite: 'power' },
  F8_E4M3FNUZ: { exponentBits: 4, fractionBits: 3, bias: 8, notFinite: 'negative_zero' },
  F8_E5M2FNUZ: { exponentBits: 5, fractionBits: 2, bias: 16, notFinite: 'negative_zero' },
} as const satisfies Record<string, SmallFloat>

type SmallDtype = keyof typeof SMALL_FLOATS
export const BYTE_FLOATS = ['F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'] as const

/** The value of a code; float64 holds each exactly. */
export function createDecoder(dtype: SmallDtype): (code: number) => number {
  const { exponentBits, fractionBits, bias, notFinite }: SmallFloat = SMALL_FLOATS[dtype]
  const full = (1 << exponentBits) - 1
  const one = 1 << fractionBits
  const negative = 1 << (exponentBits + fractionBits)
  // By exponent; the lowest one, of subnormals, counts like the next.
  const units = Float64Array.from({ length: full + 1 }, (_, exponent) => {
    const counted = notFinite === 'power' ? exponent : Math.max(exponent, 1)
    return 2 ** (counted - bias - fractionBits)
  })

  function isFinite(code: number, exponent: number, fraction: number): boolean {
    if (notFinite === 'negative_zero') return code !== negative
    return exponent !== full || (notFinite === 'full' && fraction !== one - 1)
  }

  return (code) => {
    const fraction = code & (one - 1)
    const exponent = (code >>> fractionBits) & full
    const sign = code & negative ? -1 : 1
    if (!isFinite(code, exponent, fraction))
      return notFinite === 'ieee' && fraction === 0 ? sign * Infinity : NaN
    const isNormal = exponent > 0 || notFinite === 'power'
    return sign * (isNormal ? one + fraction : fraction) * (units[exponent] ?? NaN)
  }
}
