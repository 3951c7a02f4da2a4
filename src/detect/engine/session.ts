import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Provider } from '../detection.ts'
import type { Graph } from '../graph/graph.ts'

/** A graph with its weights on one provider. */
export interface Session {
  readonly provider: Provider
  /** Inferences that run at once; more are not to be asked for. */
  readonly lanes: number
  /** @param outputs those to be fetched; each comes back under its name. */
  readonly run: (
    inputs: Readonly<Record<string, Input>>,
    outputs: readonly string[],
  ) => Promise<ReadonlyMap<string, Float32Array>>
  /** Operators that ran elsewhere so far; undefined where that couldn't be found out. Asked once. */
  readonly fellBack: () => Promise<readonly string[] | undefined>
  readonly release: () => Promise<void>
}

export interface Input {
  readonly data: BigInt64Array | Float32Array
  readonly shape: readonly number[]
}

const ERRORS_ONLY = 3

/**
 * Opens a graph on a provider. What that one can't do, the engine gives to the CPU: so its first runs are profiled.
 *
 * @throws what the engine says where the provider can't run here.
 */
export async function openSession(
  { model, externalData }: Graph,
  provider: Provider,
  threads: number,
): Promise<Session> {
  const profile = provider === 'cpu' ? undefined : await openProfile()
  const session = await InferenceSession.create(model, {
    executionProviders: [provider],
    externalData,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: ERRORS_ONLY,
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile.prefix }),
  }).catch(async (error: unknown) => {
    await profile?.remove()
    throw error
  })

  return {
    provider,
    lanes: 1,
    run: async (inputs, outputs) => {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, shape }]) => [name, tensorOf(data, shape)]),
      )
      const results = await session.run(feeds, outputs)
      return new Map(Object.entries(results).map(([name, { data }]) => [name, float32s(data)]))
    },
    fellBack: async () => {
      if (provider === 'cpu') return []
      if (profile === undefined) return undefined
      try {
        session.endProfiling()
        return operatorsElsewhere(await profile.read(), provider)
      } finally {
        await profile.remove()
      }
    },
    release: () => session.release(),
  }
}

const tensorOf = (data: Input['data'], shape: readonly number[]): Tensor =>
  data instanceof Float32Array
    ? new Tensor('float32', data, shape)
    : new Tensor('int64', data, shape)

function float32s(data: Tensor.DataType): Float32Array {
  if (data instanceof Float32Array) return data
  throw new Error('a graph of ours has an output that is not f32')
}

interface Profile {
  readonly prefix: string
  readonly read: () => Promise<string>
  readonly remove: () => Promise<void>
}

/** A folder that can be written is no condition for anything to run. */
async function openProfile(): Promise<Profile | undefined> {
  let folder: string
  try {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-profile-'))
  } catch {
    return undefined
  }
  return {
    prefix: join(folder, 'run'),
    read: async () => {
      const [name = ''] = await readdir(folder)
      return readFile(join(folder, name), 'utf8')
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Provider names in a profile are as the engine spells them: `CUDAExecutionProvider`. */
const SPELLED: Readonly<Record<Provider, string>> = {
  cpu: 'CPUExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
}

/** Names of the operators, each once and sorted, that a profile shows on another provider than this. */
export function operatorsElsewhere(profile: string, provider: Provider): readonly string[] {
  const events: unknown = JSON.parse(profile)
  if (!Array.isArray(events)) return []
  const names = events.flatMap((event: { args?: { provider?: unknown; op_name?: unknown } }) => {
    const { provider: ran, op_name: operator } = event.args ?? {}
    return typeof ran === 'string' && ran !== SPELLED[provider] && typeof operator === 'string'
      ? [operator]
      : []
  })
  return [...new Set(names)].sort()
}
