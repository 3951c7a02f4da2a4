import { calledBy, classOf, isHarmless, isMadeOfMapping } from './harmless.ts'
import type { Symbol } from './symbols.ts'

/**
 * What a call of something that only builds data would call in turn, by its arguments: these functions call what
 * they are given, or keep it where it is called later. Undefined where all of it is data.
 *
 * @param visit called for each value looked at; throws where that is too much
 */
export function handedOver(
  called: string,
  args: Symbol,
  visit: () => void,
): { readonly symbol: Symbol; readonly name: string } | undefined {
  const items = args.kind === 'list' ? args.items : [args]
  for (const i of calledBy(called)) {
    const symbol = items[i]
    if (symbol?.kind === 'object' && symbol.trust === 'none') return { symbol, name: symbol.of }
  }
  if (isMadeOfMapping(called))
    for (const symbol of items)
      if (symbol.kind === 'object' && symbol.isBuilt) return { symbol, name: `${symbol.of}.keys` }
  const exempt = classOf(called)
  const rest = items.filter((symbol, i) => i !== exempt || symbol.kind !== 'global')
  return foreignIn(rest, visit)
}

/** A name that stands for neither plain data nor a part of a checkpoint, however deep it lies. */
function foreignIn(
  symbols: readonly Symbol[],
  visit: () => void,
): { readonly symbol: Symbol; readonly name: string } | undefined {
  const left: (readonly Symbol[])[] = [symbols]
  const seen = new Set<Symbol>()
  for (let list = left.pop(); list !== undefined; list = left.pop())
    for (const symbol of list) {
      visit()
      if (symbol.kind === 'global' && symbol.trust === 'none') return { symbol, name: symbol.name }
      if (symbol.kind !== 'list' || seen.has(symbol)) continue
      seen.add(symbol)
      left.push(symbol.items)
    }
  return undefined
}

/** How far a name is trusted. */
export const trustOf = (name: string, isKnown: boolean): 'known' | 'harmless' | 'none' =>
  isKnown ? 'known' : isHarmless(name) ? 'harmless' : 'none'
