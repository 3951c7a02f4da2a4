// Which operations hold with which client: `npm run matrix:hub` prints the tables of docs/huggingface.md. Each client
// has a Python environment of its own (made with uv or pip and kept below node_modules/.cache) and a server of its own.
// transformers needs torch, which is large: with uv, `UV_TORCH_BACKEND=cpu` fetches the smaller one. `--only 0.36` runs the
// clients whose name holds that. What failed is told on standard error, and the command ends with 1.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { asking, fillForReading, tokensFor } from './hub-clients/fill.ts'
import { runJavascriptSteps } from './hub-clients/javascript.ts'
import { pythonEnv } from './hub-clients/python-env.ts'
import { runSteps, type Setting, type Step } from './hub-clients/run-steps.ts'
import { startServer, TOKEN } from './support/server.ts'

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' } },
})

const INSTALL_LIMIT_MS = 15 * 60_000
const SCRIPTS = ['reading.py', 'writing.py', 'refusals.py', 'command_line.py']
/** What the scripts themselves import, and what the command line of 1.0 lacks in what it names. */
const BESIDE = ['safetensors==0.8.0', 'numpy>=2,<3', 'click']

interface Client {
  readonly name: string
  readonly steps: (setting: Setting, ask: ReturnType<typeof asking>) => Promise<readonly Step[]>
}

/** `hf_xet` of that version, or not there at all. */
function hub(version: string, xet?: string): Client {
  return {
    name: `${version}, ${xet === undefined ? 'without hf_xet' : `hf_xet ${xet}`}`,
    steps: async (setting, ask) => {
      const pins = [`huggingface_hub==${version}`, ...BESIDE]
      const python =
        xet === undefined
          ? await pythonEnv(pins, { without: ['hf_xet'], limitMs: INSTALL_LIMIT_MS })
          : await pythonEnv([...pins, `hf_xet==${xet}`], { limitMs: INSTALL_LIMIT_MS })
      await fillForReading(ask, setting.folder)
      const found: Step[] = []
      for (const script of SCRIPTS) found.push(...(await runSteps(python, script, setting)))
      return found
    },
  }
}

const HUBS = [
  hub('2.4.0', '1.8.0'),
  hub('2.4.0'),
  hub('1.20.1', '1.5.1'),
  hub('1.0.1', '1.8.0'),
  hub('1.0.1'),
  hub('0.36.2', '1.8.0'),
  hub('0.36.2'),
  hub('0.30.2', '1.0.5'),
  hub('0.30.2'),
]

const JAVASCRIPT: Client = {
  name: '2.17.5',
  steps: (setting) => runJavascriptSteps(setting),
}

const transformers = (version: string, hub: string, xet: string): Client => ({
  name: `${version}, huggingface_hub ${hub}, hf_xet ${xet}`,
  steps: async (setting) => {
    const pins = [
      `transformers==${version}`,
      `huggingface_hub==${hub}`,
      `hf_xet==${xet}`,
      'accelerate==1.15.0',
      'torch==2.15.0',
      ...BESIDE,
    ]
    const python = await pythonEnv(pins, { limitMs: INSTALL_LIMIT_MS })
    return runSteps(python, 'transformers_models.py', setting)
  },
})

const TRANSFORMERS = [
  transformers('5.23.0', '2.4.0', '1.8.0'),
  transformers('4.57.6', '0.36.2', '1.8.0'),
]

async function stepsOf({ name, steps }: Client): Promise<readonly Step[]> {
  const folder = await mkdtemp(join(tmpdir(), 'hub-matrix-'))
  const server = await startServer(folder, {
    STRONGROOM_DETECTOR: '',
    // So that what is large to the steps comes in parts.
    STRONGROOM_UPLOAD_PART_BYTES: '8MiB',
  })
  try {
    const ask = asking(server.url, TOKEN)
    const setting = {
      endpoint: server.url,
      folder: join(folder, 'client'),
      ...(await tokensFor(ask, TOKEN)),
    }
    const found = await steps(setting, ask)
    for (const { operation, outcome, why } of found)
      if (outcome === 'failed') console.error(`\n${name}: ${operation}\n${why ?? ''}`)
    return found
  } finally {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const MARKS = { held: '✓', failed: '✗', 'not offered': '–' } as const

/** Operations down, clients across. */
async function printTable(clients: readonly Client[]): Promise<boolean> {
  const wanted = clients.filter(({ name }) => name.includes(values.only))
  if (wanted.length === 0) return true
  const columns: (readonly Step[])[] = []
  for (const client of wanted) columns.push(await stepsOf(client))
  const line = (cells: readonly string[]): void => {
    console.log(`| ${cells.join(' | ')} |`)
  }
  console.log()
  line(['operation', ...wanted.map(({ name }) => name)])
  line(['---', ...wanted.map(() => ':-:')])
  for (const { operation, promise } of columns[0] ?? []) {
    const outcomes = columns.map((steps) => steps.find((step) => step.operation === operation))
    line([promise, ...outcomes.map((step) => (step === undefined ? '' : MARKS[step.outcome]))])
  }
  return columns.flat().every(({ outcome }) => outcome !== 'failed')
}

let isAllHeld = true
for (const clients of [HUBS, TRANSFORMERS, [JAVASCRIPT]])
  isAllHeld = (await printTable(clients)) && isAllHeld
process.exitCode = isAllHeld ? 0 : 1
