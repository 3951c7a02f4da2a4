import { createHash } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { convert, type Conversion, judge } from '../../src/pickle/convert.ts'
import { type ConversionLimits, DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { SOURCE_KEY } from '../../src/pickle/own-keys.ts'
import { ConversionRefused, type RefusalReason } from '../../src/pickle/refused.ts'
import { type Source, sourceOf } from '../../src/pickle/source.ts'
import { tensorAt } from '../../src/safetensors/columns.ts'
import { validate } from '../../src/safetensors/stream.ts'

interface Options {
  readonly root?: string
  readonly writesTiedTwice?: boolean
  readonly isOpaqueAllowed?: boolean
  readonly limits?: Partial<ConversionLimits>
}

interface ReadTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly hex: string
}

interface Converted extends Conversion {
  readonly file: Buffer
  readonly weights: Readonly<Record<string, ReadTensor>>
  readonly metadata: Readonly<Record<string, string>>
}

/** What is made of a checkpoint, through real files. */
export function converted(checkpoint: Uint8Array, options: Options = {}): Converted {
  const { limits, root, writesTiedTwice = false, isOpaqueAllowed = false } = options
  return withFiles(checkpoint, (from, to) => {
    const conversion = convert({ fd: from.fd, sizeBytes: checkpoint.length }, to.fd, {
      root,
      writesTiedTwice,
      isOpaqueAllowed,
      limits: { ...DEFAULT_LIMITS, ...limits },
    })
    const file = readFileSync(to.path)
    return {
      ...conversion,
      file,
      weights: weightsOf(file),
      metadata: metadataOf(file, checkpoint),
    }
  })
}

/** But for the hash of what it was made of, which must be right. */
function metadataOf(file: Buffer, checkpoint: Uint8Array): Readonly<Record<string, string>> {
  const { [SOURCE_KEY]: source, ...metadata } = validate(file).metadata
  const isRight = source === createHash('sha256').update(checkpoint).digest('hex')
  if (!isRight && !file.equals(checkpoint)) throw new Error(`another source: ${source}`)
  return metadata
}

interface OpenPath {
  readonly fd: number
  readonly path: string
}

function withFiles<T>(content: Uint8Array, use: (from: OpenPath, to: OpenPath) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'pickle-'))
  const paths = [join(folder, 'from.pt'), join(folder, 'to.safetensors')] as const
  writeFileSync(paths[0], content)
  const [from, to] = [openSync(paths[0], 'r'), openSync(paths[1], 'w+')]
  try {
    return use({ fd: from, path: paths[0] }, { fd: to, path: paths[1] })
  } finally {
    closeSync(from)
    closeSync(to)
    rmSync(folder, { recursive: true })
  }
}

/** The tensors of a safetensors file by name. */
export function weightsOf(file: Buffer): Readonly<Record<string, ReadTensor>> {
  const { columns } = validate(file)
  return Object.fromEntries(
    Array.from({ length: columns.count }, (_, i) => {
      const { name, dtype, shape, begin, end } = tensorAt(columns, i)
      return [name, { dtype, shape, hex: file.toString('hex', begin, end) }]
    }),
  )
}

/** Why something is refused: `reason: message`. */
export function refusal(act: () => unknown): `${RefusalReason}: ${string}` | 'not refused' {
  try {
    act()
  } catch (error) {
    if (error instanceof ConversionRefused) return `${error.reason}: ${error.message}`
    throw error
  }
  return 'not refused'
}

/** The same, of a conversion. */
export const refused = (checkpoint: Uint8Array, options?: Options): string =>
  refusal(() => converted(checkpoint, options))

/** The same, of a file that is judged only, and nothing written. */
export const judged = (checkpoint: Uint8Array, { limits }: Pick<Options, 'limits'> = {}): string =>
  refusal(() =>
    withFiles(checkpoint, ({ fd }) =>
      judge(
        { fd, sizeBytes: checkpoint.length },
        {
          root: undefined,
          writesTiedTwice: false,
          isOpaqueAllowed: false,
          limits: { ...DEFAULT_LIMITS, ...limits },
        },
      ),
    ),
  )

/** Hands on a file of these bytes. */
export const withSource = <T>(bytes: Uint8Array, use: (source: Source) => T): T =>
  withFiles(bytes, ({ fd }) => use(sourceOf(fd, bytes.length)))
