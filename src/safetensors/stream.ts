import type { HeaderColumns } from './columns.ts'
import { createHeaderParser } from './header-parser.ts'
import type { HeaderParser, ParsedHeader } from './header-parser.ts'
import { SafetensorsError } from './safetensors-error.ts'
import { HEAD_BYTES } from './sniff.ts'
import { judgeStart } from './start.ts'
import { checkTiling } from './tiling.ts'

/** A valid header. Offsets are bytes from the start of the file. */
export interface SafetensorsHeader {
  /** N, the length that the first 8 bytes give. */
  readonly headerBytes: number
  /** 8 + N. */
  readonly dataBegin: number
  /** What the whole file takes, by its header. */
  readonly fileBytes: number
  /** `__metadata__`; without a prototype, since `__proto__` is a key like any other. */
  readonly metadata: Readonly<Record<string, string>>
  readonly hasMetadata: boolean
  /** Elements of all tensors. */
  readonly parameters: number
  readonly columns: HeaderColumns
  /** False when `checkTiling` is still owed. */
  readonly tiled: boolean
}

export interface ValidatorOptions {
  /** The file's size where it is known, so that a wrong one is refused as soon as the header is read. */
  readonly fileBytes?: number | undefined
  /** 1,000,000 unless told. */
  readonly maxTensors?: number | undefined
  /** 100,000,000 unless told, the reference's cap. */
  readonly maxHeaderBytes?: number | undefined
  /**
   * With more tensors than this, out of the order of their bytes, `tiled` is false and the caller runs
   * `checkTiling` elsewhere. Without it, tiling is always checked.
   */
  readonly deferTilingAbove?: number | undefined
}

/** Judges a safetensors file as it arrives. After it has thrown, it throws the same error again. */
export interface Validator {
  /**
   * Takes the next bytes; keeps none of them. Its time is linear in them (about 1 ms for 64 KiB of header),
   * so the caller's chunks decide how long the thread is busy.
   *
   * @throws SafetensorsError at the first byte that no valid file has there
   */
  write(chunk: Uint8Array): void
  /** The file is over. @throws SafetensorsError when something is missing */
  end(): SafetensorsHeader
  /** From the moment that all of it is read and valid. */
  readonly header: SafetensorsHeader | undefined
  /** N, from the moment that the bytes are known to begin a header. */
  readonly headerBytes: number | undefined
}

/** A validator of one file: safetensors as the reference reads it, less all that readers could read differently. */
export function createValidator(options: ValidatorOptions = {}): Validator {
  const { fileBytes, maxTensors = 1_000_000, maxHeaderBytes = 100_000_000 } = options
  const { deferTilingAbove = Infinity } = options
  const limits = { fileBytes, maxHeaderBytes }
  const head = new Uint8Array(HEAD_BYTES)
  let position = 0
  let headerBytes: number | undefined
  let parser: HeaderParser | undefined
  let header: SafetensorsHeader | undefined
  let failure: Error | undefined

  /** Takes bytes one by one until they are known to begin a header: 9 of them, or a refusal. */
  function readStart(chunk: Uint8Array): number {
    let i = 0
    while (headerBytes === undefined && i < chunk.length) {
      head[position] = chunk[i] ?? 0
      position += 1
      i += 1
      headerBytes = judgeStart(head.subarray(0, position), { ...limits, isWhole: false })
    }
    return i
  }

  function readHeader(chunk: Uint8Array, from: number, bytes: number): number {
    parser ??= createHeaderParser(bytes, maxTensors)
    const to = Math.min(chunk.length, from + 8 + bytes - position)
    parser.write(chunk, from, to, position)
    position += to - from
    if (position === 8 + bytes) {
      header = judge(parser.end(), bytes)
      parser = undefined
    }
    return to
  }

  function judge(parsed: ParsedHeader, bytes: number): SafetensorsHeader {
    const dataBegin = 8 + bytes
    const { columns, dataEnd, isInOrder, metadata, hasMetadata, parameters } = parsed
    const tiled = isInOrder || columns.count <= deferTilingAbove
    if (!isInOrder && tiled) checkTiling(columns, dataBegin)
    if (fileBytes !== undefined && fileBytes < dataEnd) failTruncated(fileBytes, dataEnd)
    if (fileBytes !== undefined && fileBytes > dataEnd) failTrailing(dataEnd)
    return {
      headerBytes: bytes,
      dataBegin,
      fileBytes: dataEnd,
      metadata,
      hasMetadata,
      parameters,
      columns,
      tiled,
    }
  }

  function accept(chunk: Uint8Array) {
    let i = readStart(chunk)
    if (headerBytes === undefined) return
    if (header === undefined) i = readHeader(chunk, i, headerBytes)
    if (header === undefined) return
    position += chunk.length - i
    if (position > header.fileBytes) failTrailing(header.fileBytes)
  }

  function finish(): SafetensorsHeader {
    headerBytes ??= judgeStart(head.subarray(0, position), { ...limits, isWhole: true })
    if (header === undefined)
      throw new SafetensorsError('header_truncated', 'the file ends inside its header', {
        offset: position,
      })
    if (position < header.fileBytes) failTruncated(position, header.fileBytes)
    return header
  }

  function orFailAgain<T>(run: () => T): T {
    if (failure !== undefined) throw failure
    try {
      return run()
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      parser = undefined
      throw failure
    }
  }

  return {
    write(chunk) {
      orFailAgain(() => {
        accept(chunk)
      })
    },
    end: () => orFailAgain(finish),
    get header() {
      return header
    },
    get headerBytes() {
      return headerBytes
    },
  }
}

/** Validates a whole file in memory. @throws SafetensorsError */
export function validate(bytes: Uint8Array): SafetensorsHeader {
  const validator = createValidator({ fileBytes: bytes.length })
  validator.write(bytes)
  return validator.end()
}

function failTruncated(bytes: number, expected: number): never {
  const sentence = `the file ends after ${bytes} bytes, its header says ${expected}`
  throw new SafetensorsError('truncated', sentence, { offset: bytes })
}

function failTrailing(dataEnd: number): never {
  const sentence = `bytes follow the last tensor, which ends at ${dataEnd}`
  throw new SafetensorsError('trailing_bytes', sentence, { offset: dataEnd })
}
