import { FORMAT_KEY, isOwnKey } from './own-keys.ts'
import { ConversionRefused } from './refused.ts'
import type { StateDict } from './state-dict.ts'
import { tieOf, type View, viewOf } from './views.ts'

export interface PlannedTensor {
  readonly name: string
  readonly view: View
}

/** What the new file holds. */
export interface Plan {
  /** In the order of their bytes. */
  readonly tensors: readonly PlannedTensor[]
  /** Names that stood for the same bytes as another, and that one. */
  readonly tied: ReadonlyMap<string, string>
  readonly metadata: ReadonlyMap<string, string>
  readonly dataBytes: number
}

export interface PlanOptions {
  /** Tied weights are written under each of their names. */
  readonly writesTiedTwice: boolean
  /** Of the new file: views can stand for far more than the bytes there are. */
  readonly maxDataBytes: number
}

/** @throws {ConversionRefused} */
export function planOf({ tensors, scalars }: StateDict, options: PlanOptions): Plan {
  const views = tensors
    .map(({ name, tensor }): PlannedTensor => ({ name, view: viewOf(name, tensor) }))
    .sort((a, b) => b.view.elementBytes - a.view.elementBytes || (a.name < b.name ? -1 : 1))
  const { kept, tied } = options.writesTiedTwice
    ? { kept: views, tied: new Map<string, string>() }
    : untied(views)
  const dataBytes = kept.reduce((sum, { view }) => sum + view.sizeBytes, 0)
  if (dataBytes > options.maxDataBytes)
    throw new ConversionRefused('limit', `its tensors would be ${dataBytes} bytes once written out; at most ${options.maxDataBytes} are written`) // prettier-ignore
  return {
    tensors: kept,
    tied,
    metadata: new Map([...scalars, ...tied, [FORMAT_KEY, 'pt']]),
    dataBytes,
  }
}

/** Of tied weights the first one stays, the others are told by its name, as safetensors' own `save_model` does. */
function untied(views: readonly PlannedTensor[]): Pick<Plan, 'tied'> & { kept: PlannedTensor[] } {
  const first = new Map<string, string>()
  const tied = new Map<string, string>()
  const kept = views.filter(({ name, view }) => {
    const tie = tieOf(view)
    const before = tie === undefined ? undefined : first.get(tie)
    if (tie !== undefined && before === undefined) first.set(tie, name)
    if (before === undefined || isOwnKey(name)) return true
    tied.set(name, before)
    return false
  })
  return { kept, tied }
}
