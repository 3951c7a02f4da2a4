import type { Shell } from './shell.ts'

/** One JSON document whose list is said item by item: `{…head, "items": […], …tail}`. */
export interface JsonList {
  readonly add: (item: unknown) => void
  readonly end: (tail?: object) => void
}

/** Says nothing before the first item, or the end: a refusal leaves standard output empty. */
export function createJsonList({ say }: Shell, head: object, key: string): JsonList {
  let last: string | undefined
  const begin = `{${membersOf(head)
    .map((member) => `${member},`)
    .join('')}"${key}":[`
  return {
    add: (item) => {
      say(last === undefined ? begin : `${last},`)
      last = JSON.stringify(item)
    },
    end: (tail = {}) => {
      say(last ?? begin)
      say(
        `]${membersOf(tail)
          .map((member) => `,${member}`)
          .join('')}}`,
      )
    },
  }
}

const membersOf = (object: object): readonly string[] =>
  Object.entries(object).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
