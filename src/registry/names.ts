// Names come from callers: from URLs, forms, JSON and headers. Each has one parser; what a parser returns needs
// no second look, and may stand in a URL, a log line or a ledger row as it is.

import { RegistryError } from '../errors.ts'

declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type VersionName = Branded<'version'>
export type TagName = Branded<'tag'>
/** A file inside a version, relative and `/`-separated. */
export type FilePath = Branded<'path'>
/** 64 lower-case hex digits. */
export type Sha256 = Branded<'sha256'>
/** `*`, `owner/*`, `owner/name` or `owner/prefix*`, in ASCII lower case. */
export type Scope = Branded<'scope'>

/** `owner/name` as the caller spelled it; two are the same checkpoint when they agree in ASCII lower case. */
export interface CheckpointName {
  readonly owner: string
  readonly name: string
}

const MAX_NAME_CHARACTERS = 96
const MAX_VERSION_CHARACTERS = 128
export const MAX_PATH_BYTES = 512

/** First segments of the server's own routes. */
const RESERVED_OWNERS: ReadonlySet<string> = new Set([
  'api',
  'v1',
  'docs',
  'detect',
  'detect-pii',
  'analyze',
  'cas',
  'console',
  'assets',
  'metrics',
  'health',
  'livez',
  'readyz',
  'recognizers',
  'supportedentities',
])

/** Routes below a checkpoint, and the names that the Hub's clients give to a moving head. */
const RESERVED_VERSIONS: ReadonlySet<string> = new Set([
  'tags',
  'diff',
  'policy',
  'uploads',
  'main',
  'HEAD',
])

type What = 'owner' | 'name' | 'version' | 'tag' | 'path' | 'scope'

function invalid(what: What, rule: string, sentence: string): RegistryError {
  return new RegistryError('INVALID_NAME', sentence, { what, rule })
}

/** Lowers A to Z and nothing else: no other letter may become an ASCII one (the Kelvin sign is no k). */
export function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** What holds for a name and for any beginning of one. */
function checkNamePrefix(text: string, what: What): void {
  if (text.length > MAX_NAME_CHARACTERS)
    throw invalid(
      what,
      'length',
      `An owner or a name has at most ${MAX_NAME_CHARACTERS} characters.`,
    )
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text))
    throw invalid(
      what,
      'characters',
      'An owner or a name begins with a letter or digit; letters, digits, ".", "_" and "-" follow.',
    )
  if (text.includes('..') || text.includes('--'))
    throw invalid(what, 'doubled', 'An owner or a name has no ".." and no "--" in it.')
}

function checkName(text: string, what: What): void {
  checkNamePrefix(text, what)
  if (!/[A-Za-z0-9]$/.test(text))
    throw invalid(what, 'characters', 'An owner or a name ends with a letter or digit.')
  if (asciiLowerCase(text).endsWith('.git'))
    throw invalid(what, 'dot_git', 'An owner or a name doesn\'t end with ".git".')
}

function checkOwner(text: string, what: What): void {
  checkName(text, what)
  if (isReservedOwner(text))
    throw invalid(what, 'reserved', "This owner's name is one of the server's routes.")
}

/** Whether the name is taken by the server's own routes, in any spelling. */
export const isReservedOwner = (owner: string): boolean =>
  RESERVED_OWNERS.has(asciiLowerCase(owner))

/** Throws INVALID_NAME with `what` = `owner` or `name`. The spelling stays as given. */
export function parseCheckpointName(owner: string, name: string): CheckpointName {
  checkOwner(owner, 'owner')
  checkName(name, 'name')
  return { owner, name }
}

/** Throws INVALID_NAME with `what` = `owner`. */
export function parseOwner(owner: string): string {
  checkOwner(owner, 'owner')
  return owner
}

/** The rule that a version's or a tag's name breaks, and the sentence to say after "A version" or "A tag". */
function brokenRule(text: string): readonly [rule: string, sentence: string] | undefined {
  if (text.length > MAX_VERSION_CHARACTERS)
    return ['length', `has at most ${MAX_VERSION_CHARACTERS} characters.`]
  if (!/^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(text))
    return [
      'characters',
      'begins with a letter or digit; letters, digits, ".", "_", "+" and "-" follow.',
    ]
  if (RESERVED_VERSIONS.has(text)) return ['reserved', `can't be named "${text}".`]
  if (/^[0-9A-Fa-f]{40,64}$/.test(text)) return ['digest_like', "can't be 40 to 64 hex digits."]
  return undefined
}

/** Throws INVALID_NAME. Versions are told apart by case; a name that could be taken for a digest is refused. */
export function parseVersionName(text: string): VersionName {
  const [rule, sentence] = brokenRule(text) ?? []
  if (rule !== undefined) throw invalid('version', rule, `A version ${sentence ?? ''}`)
  return text as VersionName
}

/** Throws INVALID_NAME with `what` = `tag`. What can name a version can name a tag. */
export function parseTagName(text: string): TagName {
  const [rule, sentence] = brokenRule(text) ?? []
  if (rule !== undefined) throw invalid('tag', rule, `A tag ${sentence ?? ''}`)
  return text as TagName
}

/** C0, DEL and C1: what moves a terminal's cursor or ends a header line. */
function isControl(unit: number): boolean {
  return unit < 0x20 || (unit >= 0x7f && unit < 0xa0)
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (isControl(text.charCodeAt(i))) return true
  return false
}

/**
 * Throws INVALID_NAME. A path is also an object's key and a file's name on the caller's disk, so it can't climb,
 * can't be absolute, and has one spelling in UTF-8 (no lone surrogates).
 */
export function parseFilePath(text: string): FilePath {
  if (text.length > MAX_PATH_BYTES || Buffer.byteLength(text) > MAX_PATH_BYTES)
    throw invalid('path', 'length', `A path has at most ${MAX_PATH_BYTES} bytes in UTF-8.`)
  if (!text.isWellFormed()) throw invalid('path', 'unicode', 'A path is valid Unicode.')
  if (text.includes('\\') || hasControl(text))
    throw invalid('path', 'characters', 'A path has no backslash and no control characters.')
  if (text.split('/').some((part) => part === '' || part === '.' || part === '..'))
    throw invalid('path', 'parts', 'A path is relative and has no empty, "." or ".." part.')
  return text as FilePath
}

/** The file that a request means when it names none. */
export const DEFAULT_PATH: FilePath = parseFilePath('model.safetensors')

/** Byte order of UTF-8, which isn't JavaScript's own order of strings beyond U+FFFF. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** Either case is accepted, lower case returned. Throws INVALID_REQUEST naming `field`. */
export function parseSha256(text: string, field = 'sha256'): Sha256 {
  if (!/^[0-9A-Fa-f]{64}$/.test(text))
    throw new RegistryError('INVALID_REQUEST', 'A SHA-256 is 64 hex digits.', {
      errors: [{ field, detail: 'must be 64 hex digits' }],
    })
  return text.toLowerCase() as Sha256
}

/** Throws INVALID_NAME with `what` = `scope`. */
export function parseScope(text: string): Scope {
  if (text === '*') return text as Scope
  const slash = text.indexOf('/')
  if (slash === -1)
    throw invalid('scope', 'form', 'A scope is "*", "owner/*", "owner/name" or "owner/prefix*".')
  checkOwner(text.slice(0, slash), 'scope')
  const name = text.slice(slash + 1)
  if (!name.endsWith('*')) checkName(name, 'scope')
  else if (name !== '*') checkNamePrefix(name.slice(0, -1), 'scope')
  return asciiLowerCase(text) as Scope
}

/** Whether a token of this scope reaches the checkpoint, which needn't exist. */
export function scopeCovers(scope: string, checkpoint: CheckpointName): boolean {
  if (scope === '*') return true
  const pattern = asciiLowerCase(scope)
  const subject = asciiLowerCase(`${checkpoint.owner}/${checkpoint.name}`)
  // parseScope leaves a star only at the end and behind a slash, so a prefix never spans two owners.
  return pattern.endsWith('*') ? subject.startsWith(pattern.slice(0, -1)) : subject === pattern
}

/** Whether a token of this scope reaches any checkpoint that the owner could have. */
export const scopeTouches = (scope: string, owner: string): boolean =>
  scope === '*' || scope.startsWith(`${asciiLowerCase(owner)}/`)

/** Whether everything that `inner` reaches is reached by `outer` too. Both as `parseScope` returns them. */
export function scopeWithin(inner: string, outer: string): boolean {
  if (outer === '*' || inner === outer) return true
  return outer.endsWith('*') && inner !== '*' && inner.startsWith(outer.slice(0, -1))
}
