import type { Description } from '../client/answers.ts'
import { bytesInWords, counted, table } from './words.ts'

/** A version in a few lines. */
export function summaryOf(version: Description, became: string): string {
  const { size, tensors, parameters, files, metadata, tags } = version
  const rows = [
    ['revision', version.revision],
    ['published', `${version.created_at} by ${version.created_by}`],
    [
      'holds',
      `${counted(files.length, 'file')}, ${bytesInWords(size)}, ${counted(tensors, 'tensor')}, ${counted(parameters, 'parameter')}`,
    ],
    ...(tags.length === 0 ? [] : [['tags', tags.join(', ')]]),
    ...Object.entries(metadata).map(([key, value]) => ['metadata', `${key} = ${value}`]),
    ...files.map(({ path, size: bytes, sha256 }) => [
      'file',
      `${path}  ${bytesInWords(bytes)}  sha256 ${sha256}`,
    ]),
  ]
  return `${version.checkpoint}@${version.version} ${became}\n${indented(table(rows))}`
}

const indented = (text: string): string => text.replace(/^/gm, '  ')
