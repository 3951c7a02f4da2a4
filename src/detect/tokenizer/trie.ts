// Which pieces begin here? A trie over code points. Its edges lie in one hash table keyed by (node, code point), so that
// 120,000 pieces load in some 50 ms and take three typed arrays, not a Map a node.

/** No piece ends at this node. */
export const NO_PIECE = -1
/** Where every walk begins. As an answer of `step` it says that there is no such edge, since none leads back. */
export const ROOT = 0

export interface Trie {
  /** The node that a code point leads to; ROOT where no piece goes on so. */
  readonly step: (node: number, point: number) => number
  /** The piece that ends at a node, or NO_PIECE. */
  readonly pieceAt: (node: number) => number
}

/** About so many nodes a piece: a guess that spares most growing. */
const NODES_A_PIECE = 4
/** Numbers a slot. */
const SLOT = 3

/** `pieces` is valid UTF-8, piece after piece; `ends` says where each ends. Of equal pieces the last one counts. */
export function createTrie(pieces: Uint8Array, ends: Uint32Array): Trie {
  const table = createEdges(ends.length * NODES_A_PIECE)
  let pieceAt = new Int32Array(ends.length).fill(NO_PIECE)

  let at = 0
  for (let piece = 0; piece < ends.length; piece += 1) {
    const end = ends[piece] ?? at
    let node = ROOT
    while (at < end) {
      const first = pieces[at] ?? 0
      const bytes = lengthOf(first)
      node = table.add(node, pointAt(pieces, at, first, bytes))
      at += bytes
    }
    if (node >= pieceAt.length) pieceAt = widened(pieceAt, table.size(), NO_PIECE)
    pieceAt[node] = piece
  }
  return { step: table.find, pieceAt: (node) => pieceAt[node] ?? NO_PIECE }
}

/** Bytes of the UTF-8 sequence that begins so. */
function lengthOf(first: number): number {
  if (first < 0x80) return 1
  if (first < 0xe0) return 2
  return first < 0xf0 ? 3 : 4
}

function pointAt(bytes: Uint8Array, at: number, first: number, length: number): number {
  if (length === 1) return first
  let point = first & (0x7f >> length)
  for (let i = 1; i < length; i += 1) point = (point << 6) | ((bytes[at + i] ?? 0) & 0x3f)
  return point
}

/**
 * Open addressing, at most half of the slots taken. A slot is three numbers, side by side so that a look-up is one miss
 * of the cache: the node where an edge begins, its code point, the node where it ends (ROOT in an empty slot).
 */
function createEdges(expected: number) {
  let nodes = 1
  let capacity = 2 ** Math.ceil(Math.log2(expected + 2))
  let slots = new Int32Array(capacity * 2 * SLOT)

  function slotOf(node: number, point: number): number {
    const mask = capacity * 2 - 1
    for (let i = hash(node, point) & mask; ; i = (i + 1) & mask) {
      const slot = i * SLOT
      if (slots[slot + 2] === ROOT) return slot
      if (slots[slot] === node && slots[slot + 1] === point) return slot
    }
  }

  function put(slot: number, node: number, point: number, child: number): void {
    slots[slot] = node
    slots[slot + 1] = point
    slots[slot + 2] = child
  }

  function grow(): void {
    const before = slots
    capacity *= 2
    slots = new Int32Array(capacity * 2 * SLOT)
    for (let slot = 0; slot < before.length; slot += SLOT) {
      const [node = 0, point = 0, child = ROOT] = before.subarray(slot, slot + SLOT)
      if (child !== ROOT) put(slotOf(node, point), node, point, child)
    }
  }

  return {
    size: () => nodes,
    find: (node: number, point: number): number => slots[slotOf(node, point) + 2] ?? ROOT,
    add(node: number, point: number): number {
      const slot = slotOf(node, point)
      const child = slots[slot + 2] ?? ROOT
      if (child !== ROOT) return child
      put(slot, node, point, nodes)
      nodes += 1
      if (nodes > capacity) grow()
      return nodes - 1
    },
  }
}

function hash(node: number, point: number): number {
  const mixed = Math.imul(node, 0x9e3779b1) ^ Math.imul(point, 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}

/** A copy twice as long, or as long as `length` asks. */
function widened(
  values: Int32Array<ArrayBuffer>,
  length: number,
  fill: number,
): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(length, values.length * 2))))
  if (fill !== 0) wider.fill(fill, values.length)
  wider.set(values)
  return wider
}
