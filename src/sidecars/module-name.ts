// The line behind GLOBAL or INST in a pickle. Python imports the packages above a module first, so a name counts up to its
// first dot, whatever follows: `this.and so on` runs `this`. A dot before all of it is passed over. What the
// second line asks of the module comes later.

const [DOT, LINE_FEED] = [0x2e, 0x0a] as const

/** Of a file that holds a module: letters, Unicode's as well, digits, and `-`, which scripts have. Prose has spaces. */
const isOfModule = (byte: number): boolean =>
  byte >= 0x80 ||
  (byte >= 0x30 && byte <= 0x39) ||
  ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a) ||
  byte === 0x5f ||
  byte === 0x2d

export interface ModuleName {
  /** Nothing more is asked once it `imports` or `fails`. */
  read: (byte: number) => 'imports' | 'fails' | 'goes on'
  /** Whether a file that ends here imports: the unpickler in Python takes a last byte for the line feed. */
  end: () => boolean
}

export function createModuleName(): ModuleName {
  let length = 0
  let hasDot = false
  let isBroken = false

  return {
    read(byte) {
      if (isBroken) return 'fails'
      if (isOfModule(byte)) length += 1
      else if (byte === DOT && length === 0 && !hasDot) hasDot = true
      else if (length === 0) return 'fails'
      else if (byte === DOT || byte === LINE_FEED) return 'imports'
      else isBroken = true
      return 'goes on'
    },
    end: () => length > 0,
  }
}
