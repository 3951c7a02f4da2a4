import type { LooksLike } from './safetensors-error.ts'
import type { Guess } from './sniff.ts'

const HTML_STARTS = ['<!doctype html', '<html', '<head', '<body', '<script', '<?xml', '<!--']
const LFS_START = 'version https://git-lfs'

/** An object with a first key or none, or an array with a first value or none. */
const JSON_START = /^(\{\s*["}]|\[\s*["[{\]\d\-tfn])/
const JSON_PREFIX = /^([{[]\s*)?$/
const BOM = '\xef\xbb\xbf'

/** Web pages (an error page saved as a model), JSON, and what Git LFS leaves in place of a file. */
export function sniffText(head: Uint8Array): Guess | undefined {
  const raw = String.fromCharCode(...head).toLowerCase()
  const text = (raw.startsWith(BOM) ? raw.slice(BOM.length) : raw).trimStart()
  const found = named(text)
  if (found !== undefined) return { looksLike: found, isCertain: true }
  const mayBecome =
    JSON_PREFIX.test(text) || [LFS_START, ...HTML_STARTS].some((start) => start.startsWith(text))
  return mayBecome ? { looksLike: 'unknown', isCertain: false } : undefined
}

function named(text: string): LooksLike | undefined {
  if (text.startsWith(LFS_START)) return 'git_lfs_pointer'
  if (HTML_STARTS.some((start) => text.startsWith(start))) return 'html'
  return JSON_START.test(text) ? 'json' : undefined
}
