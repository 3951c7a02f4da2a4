import type { Guess } from './sniff.ts'

// A ZIP's first local file header (APPNOTE.TXT 4.3.7): signature, …, name length at 26, name at 30.
const NAME_LENGTH_AT = 26
const NAME_AT = 30

/** Members that torch.save writes inside its root folder; one of them comes first. */
const TORCH_MEMBER =
  /\/(data\.pkl|version|byteorder|\.format_version|\.storage_alignment)$|\/\.?data\//

/** PK\3\4, told apart by the name of the first member, or the end record of an empty ZIP. */
export function sniffZip(head: Uint8Array): Guess | undefined {
  if (head[0] !== 0x50 || head[1] !== 0x4b) return undefined
  if (head[2] === 5 && head[3] === 6) return { looksLike: 'zip', isCertain: true }
  if (head[2] !== 3 || head[3] !== 4) return undefined
  const nameLength = (head[NAME_LENGTH_AT] ?? 0) | ((head[NAME_LENGTH_AT + 1] ?? 0) << 8)
  const nameEnd = NAME_AT + nameLength
  if (head.length < NAME_AT || head.length < nameEnd) return { looksLike: 'zip', isCertain: false }
  const name = String.fromCharCode(...head.subarray(NAME_AT, nameEnd))
  if (name.endsWith('.npy')) return { looksLike: 'npz', isCertain: true }
  return { looksLike: TORCH_MEMBER.test(name) ? 'torch_zip' : 'zip', isCertain: true }
}
