import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { HEAD_BYTES, sniff } from '../safetensors/sniff.ts'
import { Fault, type Reader } from './fault.ts'
import { SHOULD_BE, type SidecarForm } from './forms.ts'
import { createJsonReader } from './json.ts'
import { createSentencepieceReader, FIRST_TAG } from './sentencepiece.ts'
import { createTextReader } from './text.ts'
import { createTiktokenReader } from './tiktoken.ts'

/** Judges a sidecar as it comes, in pieces of any length; keeps none of them. */
export interface SidecarJudge {
  /**
   * After it has thrown, it throws the same error again.
   *
   * @throws {SafetensorsError} `not_safetensors`, at the first byte that no such file has there.
   */
  write: (bytes: Uint8Array) => void
  /** The file is over. @throws {SafetensorsError} when something is missing. */
  end: () => void
}

/** What text and JSON may look like without being anything else. */
const HARMLESS: Readonly<Record<SidecarForm, readonly string[]>> = {
  json: ['json', 'unknown'],
  text: ['json', 'html', 'unknown'],
  sentencepiece: ['unknown'],
  tiktoken: ['unknown'],
  tokenizer: ['unknown'],
}

/**
 * A judge of one file. The first HEAD_BYTES are judged together, so that the verdict can't depend on how the bytes came:
 * another format that is recognised by them is refused, whatever else they are.
 */
export function createSidecarJudge(form: SidecarForm): SidecarJudge {
  const head = new Uint8Array(HEAD_BYTES)
  let length = 0
  let reader: Reader | undefined
  let failure: unknown

  function takeHead(bytes: Uint8Array): Uint8Array {
    const part = bytes.subarray(0, HEAD_BYTES - length)
    head.set(part, length)
    length += part.length
    return bytes.subarray(part.length)
  }

  function readHead(): Reader {
    const begun = head.subarray(0, length)
    const { looksLike } = sniff(begun)
    if (!HARMLESS[form].includes(looksLike)) throw new Fault(0, sentenceOf(looksLike), looksLike)
    reader = readerOf(form, begun)
    reader.write(begun)
    return reader
  }

  function orRefuse(read: () => void): void {
    if (failure !== undefined) throw failure as Error
    try {
      read()
    } catch (error) {
      failure = error instanceof Fault ? refusalOf(error, form, head.subarray(0, length)) : error
      throw failure as Error
    }
  }

  return {
    write(bytes) {
      orRefuse(() => {
        const rest = reader === undefined ? takeHead(bytes) : bytes
        if (length === HEAD_BYTES) (reader ?? readHead()).write(rest)
      })
    },
    end() {
      orRefuse(() => {
        ;(reader ?? readHead()).end()
      })
    },
  }
}

function readerOf(form: SidecarForm, head: Uint8Array): Reader {
  switch (form) {
    case 'json':
      return createJsonReader()
    case 'text':
      return createTextReader()
    case 'sentencepiece':
      return createSentencepieceReader()
    case 'tiktoken':
      return createTiktokenReader()
    case 'tokenizer':
      return readerOf(head[0] === FIRST_TAG ? 'sentencepiece' : 'tiktoken', head)
  }
}

const sentenceOf = (looksLike: string): string =>
  looksLike === 'empty' ? 'it is empty' : `it looks like ${looksLike}`

function refusalOf(fault: Fault, form: SidecarForm, head: Uint8Array): SafetensorsError {
  const { offset, message } = fault
  const sentence = `the file should be ${SHOULD_BE[form]}: ${message}, at byte ${offset}`
  const looksLike = fault.looksLike ?? sniff(head).looksLike
  return new SafetensorsError('not_safetensors', sentence, { offset, looksLike })
}
