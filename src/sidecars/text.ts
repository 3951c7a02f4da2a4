import { Fault, type Reader } from './fault.ts'
import { createPickleWatch } from './pickle-watch.ts'
import { createUtf8 } from './utf8.ts'

const [TAB, LINE_FEED, FORM_FEED, CARRIAGE_RETURN, DELETE] = [0x09, 0x0a, 0x0c, 0x0d, 0x7f] as const
const LINE_ENDS_AND_TABS: ReadonlySet<number> = new Set([
  TAB,
  LINE_FEED,
  FORM_FEED,
  CARRIAGE_RETURN,
])
const IMPORTS = 'whoever loads it as a pickle would run the module that it names'

/**
 * UTF-8 without control characters but tabs and line ends, so that no archive or program can be among it, and
 * nothing that a pickle loader would run.
 */
export function createTextReader(): Reader {
  const utf8 = createUtf8()
  const pickle = createPickleWatch()
  let position = 0

  return {
    write(bytes) {
      // Whichever comes first is told.
      const faults = [
        { at: utf8.read(bytes), sentence: 'a byte is not UTF-8' },
        { at: findControl(bytes), sentence: 'a control character stands in it' },
        {
          at: pickle.read(bytes),
          sentence: IMPORTS,
          looksLike: 'pickle' as const,
        },
      ].filter(({ at }) => at !== -1)
      const [first] = faults.sort((a, b) => a.at - b.at)
      if (first !== undefined) throw new Fault(position + first.at, first.sentence, first.looksLike)
      position += bytes.length
    },
    end() {
      if (!utf8.isWhole) throw new Fault(position, 'it ends inside a character')
      if (pickle.end()) throw new Fault(position, IMPORTS, 'pickle')
    },
  }
}

function findControl(bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    if (byte === DELETE || (byte < 0x20 && !LINE_ENDS_AND_TABS.has(byte))) return i
  }
  return -1
}
