import { Fault, type Reader } from './fault.ts'

const [LINE_FEED, SPACE, EQUALS] = [0x0a, 0x20, 0x3d] as const
const MAX_RANK_DIGITS = 10

const isBase64 = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) ||
  byte === 0x2b ||
  byte === 0x2f

/**
 * A vocabulary of tiktoken: on each line a token in base64 (RFC 4648 §4, padded), a space and its rank. No pickle is
 * among such files: the name of a module would hold the space.
 */
export function createTiktokenReader(): Reader {
  let position = 0
  let characters = 0
  let padding = 0
  let digits = 0
  let inRank = false

  function step(byte: number): string | undefined {
    if (inRank) return rank(byte)
    if (byte === SPACE) return endToken()
    if (byte === EQUALS && padding < 2) padding += 1
    else if (!isBase64(byte) || padding > 0) return 'a token is not in base64'
    characters += 1
    return undefined
  }

  function endToken(): string | undefined {
    if (characters === 0 || characters % 4 !== 0) return 'a token is not in base64'
    inRank = true
    digits = 0
    return undefined
  }

  function rank(byte: number): string | undefined {
    if (byte === LINE_FEED && digits > 0) {
      inRank = false
      characters = 0
      padding = 0
      return undefined
    }
    digits += 1
    const isDigit = byte >= 0x30 && byte <= 0x39
    return isDigit && digits <= MAX_RANK_DIGITS ? undefined : 'a rank is not a number'
  }

  return {
    write(bytes) {
      for (let i = 0; i < bytes.length; i++) {
        const trouble = step(bytes[i] ?? 0)
        if (trouble !== undefined) throw new Fault(position + i, trouble)
      }
      position += bytes.length
    },
    end() {
      const isLineOver = inRank ? digits > 0 : characters === 0
      if (!isLineOver) throw new Fault(position, 'its last line is not whole')
    },
  }
}
