import type { Guess } from './sniff.ts'

/** Opcodes with which a pickle can begin after PROTO: those that need nothing on the stack (pickletools). */
const FIRST_OPCODES: ReadonlySet<number> = new Set([
  ...bytesOf('(){}[]cNKMJILFGXUTSVPBC'),
  ...[0x82, 0x83, 0x84, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x95, 0x96],
])

/** torch.save before 1.6: LONG1 of 10 bytes, its magic number, and STOP. */
const TORCH_LEGACY = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e]

/** Protocols 0 and 1 have no magic: this is how dicts, lists, tuples, calls and plain values begin there. */
const OLD_PICKLES = [
  /^\([dlt](p\d|q|\.|\()/,
  /^[}\])](q|\.|\()/,
  /^\(?[ci]\w[\w.]*\n\w[\w.]*\n[()}\]NXSVUIKJpqo.]/,
  /^\((S['"]|I\d|F\d|K|\(|\}|\])/,
  /^[IFL]-?[\d.]+L?\n(p\d|\.)/,
  /^S(['"]).*\1\n(p\d|\.)/,
  /^V.*\np\d/,
]
/** What more bytes may make one of those. */
const OLD_PICKLE_PREFIXES = [
  /^\([dltSIF]?p?$/,
  /^[}\])]$/,
  /^\(?[ci]([\w.]*|\w[\w.]*\n[\w.]*\n?)$/,
  /^[IFL]-?[\d.]*L?\n?p?$/,
  /^S(['"].*\n?p?)?$/,
  /^V.*\n?p?$/,
]

/** Text of an old pickle's first opcodes, as far as it is worth reading. */
const OLD_PICKLE_BYTES = 160

/** Pickles of every protocol; torch's legacy stream is told apart by its magic number. */
export function sniffPickle(head: Uint8Array): Guess | undefined {
  if (head[0] === 0x80) return sniffFramed(head)
  const text = String.fromCharCode(...head.subarray(0, OLD_PICKLE_BYTES))
  if (OLD_PICKLES.some((pickle) => pickle.test(text)))
    return { looksLike: 'pickle', isCertain: true }
  const mayBecome =
    head.length < OLD_PICKLE_BYTES && OLD_PICKLE_PREFIXES.some((prefix) => prefix.test(text))
  return mayBecome ? { looksLike: 'unknown', isCertain: false } : undefined
}

/** Protocols 2 to 5: PROTO, its argument, an opcode. */
function sniffFramed(head: Uint8Array): Guess | undefined {
  const [, protocol = 0, opcode = -1] = head
  if (protocol < 2 || protocol > 5 || !FIRST_OPCODES.has(opcode)) return undefined
  const rest = head.subarray(2, 2 + TORCH_LEGACY.length)
  if (rest.some((byte, i) => byte !== TORCH_LEGACY[i]))
    return { looksLike: 'pickle', isCertain: true }
  return rest.length < TORCH_LEGACY.length
    ? { looksLike: 'pickle', isCertain: false }
    : { looksLike: 'torch_legacy', isCertain: true }
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
