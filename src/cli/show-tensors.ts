import type { Stats, TensorItem } from '../client/answers.ts'
import type { Connection } from '../client/connection.ts'
import { atMost } from '../client/pages.ts'
import { remoteVersion, type VersionRef } from '../client/registry.ts'
import { describeRef } from './described.ts'
import { createJsonList } from './json-list.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, createRows, grouped, numberInWords, shapeInWords } from './words.ts'

export interface TensorsWanted {
  /** Of the name; all where it is empty. */
  readonly prefix: string
  readonly withStats: boolean
  readonly isJson: boolean
}

/** Every tensor of a version, said as they come: there may be half a million. */
export async function showTensors(
  connection: Connection,
  target: VersionRef,
  { prefix, withStats, isJson }: TensorsWanted,
  shell: Shell,
): Promise<void> {
  const version = await describeRef(connection, target)
  const remote = remoteVersion(connection, { ...target, ref: version.revision })
  const tensors = atMost(remote.tensors(prefix === '' ? {} : { prefix }), version.tensors)
  if (isJson) {
    const { checkpoint, version: name, revision } = version
    const list = createJsonList(shell, { checkpoint, version: name, revision }, 'items')
    for await (const tensor of tensors) list.add(tensor)
    list.end()
    return
  }
  const columns: readonly Column[] = [
    ...TENSOR_COLUMNS,
    ...(version.files.length > 1 ? PATH_COLUMN : []),
    ...(withStats ? STATS_COLUMNS : []),
  ]
  const rows = createRows(
    shell.say,
    columns.map(([heading]) => heading),
  )
  for await (const tensor of tensors) rows.add(columns.map(([, cell]) => cell(tensor)))
  rows.end()
}

type Column = readonly [heading: string, cell: (tensor: TensorItem) => string]

const TENSOR_COLUMNS: readonly Column[] = [
  ['name', ({ name }) => name],
  ['dtype', ({ dtype }) => dtype],
  ['shape', ({ shape }) => shapeInWords(shape)],
  ['size', ({ size }) => bytesInWords(size)],
  ['sha256', ({ sha256 }) => sha256.slice(0, 12)],
]
const PATH_COLUMN: readonly Column[] = [['path', ({ path }) => path]]

/** Integers have none, nor has what was admitted before there were any. */
const stat =
  (cell: (stats: Stats) => string): Column[1] =>
  ({ stats }) =>
    stats === undefined || stats === null ? '-' : cell(stats)

const STATS_COLUMNS: readonly Column[] = [
  ['nan', stat(({ nan }) => grouped(nan))],
  ['+inf', stat(({ pos_inf }) => grouped(pos_inf))],
  ['-inf', stat(({ neg_inf }) => grouped(neg_inf))],
  ['zeros', stat(({ zeros }) => grouped(zeros))],
  ['min', stat(({ min }) => numberInWords(min))],
  ['max', stat(({ max }) => numberInWords(max))],
  ['mean', stat(({ mean }) => numberInWords(mean))],
  ['abs max', stat(({ abs_max }) => numberInWords(abs_max))],
  ['l2', stat(({ l2 }) => numberInWords(l2))],
]
