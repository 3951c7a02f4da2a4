// What it takes to make a detector of a sparse autoencoder of full size, and to serve it: `node bench/import-sae.ts`.
// Writes one like Llama Scope's (32,768 latents on 4,096 numbers, BF16, random) and a logistic regression that reads
// some of them, imports it as JumpReLU, cut, and as TopK, whole; then publishes each to a server of its own and asks for
// activations. Linux only: it reads /proc. 3 GB of disk.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { request } from 'undici'
import { createHeaderWriter } from '../src/safetensors/header-writer.ts'
import { writeSafetensors } from '../src/safetensors/write.ts'
import { memoryOf } from './support/memory.ts'
import { startServer, TOKEN } from './support/server.ts'
import { spread } from './support/timing.ts'

const { values } = parseArgs({
  options: {
    latents: { type: 'string', default: '32768' },
    width: { type: 'string', default: '4096' },
    read: { type: 'string', default: '512' },
    folder: { type: 'string', default: tmpdir() },
  },
})
const LATENTS = Number(values.latents)
const WIDTH = Number(values.width)
const READ = Number(values.read)
const TOKENS = 128
const ROUNDS = 20
const CLASSES = ['none', 'personal_name', 'address', 'phone', 'email']

/** BF16 from −2 / √width to 2 / √width: halves of a float whose sign and mantissa are arbitrary. */
function fill(halves: Uint16Array, seed: number): Uint16Array {
  const scale = 2 / Math.sqrt(WIDTH)
  const words = new Uint32Array(1)
  const float = new Float32Array(words.buffer)
  let state = seed
  for (let i = 0; i < halves.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    float[0] = (state / 2 ** 31) * scale
    halves[i] = (words[0] ?? 0) >>> 16
  }
  return halves
}

async function writeLlamaScope(folder: string): Promise<void> {
  await mkdir(join(folder, 'checkpoints'), { recursive: true })
  const tensors = [
    { name: 'decoder.bias', shape: [WIDTH] },
    { name: 'decoder.weight', shape: [WIDTH, LATENTS] },
    { name: 'encoder.bias', shape: [LATENTS] },
    { name: 'encoder.weight', shape: [LATENTS, WIDTH] },
  ]
  const header = createHeaderWriter(undefined)
  const lengths = tensors.map(({ shape }) => shape.reduce((a, b) => a * b, 1))
  for (const [i, tensor] of tensors.entries())
    header.add({ ...tensor, dtype: 'BF16', size: (lengths[i] ?? 0) * 2 })
  const file = await open(join(folder, 'checkpoints/final.safetensors'), 'w')
  await file.write(header.finish())
  for (const [i, length] of lengths.entries())
    for (let at = 0; at < length; at += 2 ** 21)
      await file.write(fill(new Uint16Array(Math.min(2 ** 21, length - at)), i + at))
  await file.close()
}

const hyperparams = (act: object): string =>
  JSON.stringify({
    d_model: WIDTH,
    d_sae: LATENTS,
    norm_activation: 'dataset-wise',
    dataset_average_activation_norm: { in: 13, out: 13 },
    apply_decoder_bias_to_pre_encoder: false,
    ...act,
  })

function classifier(): Uint8Array {
  const weight = new Float32Array(CLASSES.length * READ).map(() => Math.random() - 0.5)
  const latents = Uint32Array.from({ length: READ }, (_, i) => Math.floor((i * LATENTS) / READ))
  const bytes = (array: Float32Array | Uint32Array): Uint8Array => new Uint8Array(array.buffer)
  const said = { format: 1, kind: 'logistic', link: 'softmax', classes: CLASSES, columns: READ }
  return writeSafetensors(
    [
      { name: 'weight', dtype: 'F32', shape: [CLASSES.length, READ], bytes: bytes(weight) },
      { name: 'bias', dtype: 'F32', shape: [CLASSES.length], bytes: new Uint8Array(20) },
      { name: 'latents', dtype: 'U32', shape: [READ], bytes: bytes(latents) },
    ],
    { 'strongroom.classifier': JSON.stringify(said) },
  )
}

const ENTRY = new URL('../bin/strongroom.js', import.meta.url).pathname

/** Runs the command; seconds, and the most memory it held in MB of 10⁶ bytes. */
async function timed(args: readonly string[]): Promise<{ seconds: number; megabytes: number }> {
  const began = performance.now()
  const child = spawn(process.execPath, [ENTRY, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exit = once(child, 'exit')
  let megabytes = 0
  while (child.exitCode === null && child.signalCode === null) {
    const [own] = await memoryOf(child.pid ?? 0).catch(() => [])
    // Of a process that has just ended nothing is told.
    megabytes = Math.max(megabytes, own?.peak || 0)
    await Promise.race([exit, setTimeout(20)])
  }
  if (child.exitCode !== 0) throw new Error('the import failed')
  return { seconds: (performance.now() - began) / 1000, megabytes }
}

async function serve(detector: string, folder: string): Promise<void> {
  const server = await startServer(folder, { STRONGROOM_DETECTOR: 'bench/sae@1' })
  const headers = { authorization: `Bearer ${TOKEN}` }
  try {
    const body = await readFile(detector)
    const put = await request(`${server.url}/v1/checkpoints/bench/sae/1`, { method: 'PUT', headers, body }) // prettier-ignore
    if (put.statusCode !== 201) throw new Error(await put.body.text())
    await put.body.dump()
    const x = new Float32Array(TOKENS * WIDTH).map(() => Math.random() - 0.5)
    const activations = writeSafetensors([
      {
        name: 'activations',
        dtype: 'F32',
        shape: [TOKENS, WIDTH],
        bytes: new Uint8Array(x.buffer),
      },
    ])
    const ask = async (): Promise<number> => {
      const { statusCode, body: answer } = await request(`${server.url}/detect/activations`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/octet-stream' },
        body: activations,
      })
      await answer.dump()
      return statusCode
    }
    const began = performance.now()
    while ((await ask()) === 503) await setTimeout(50)
    console.log(`  loaded and first answer: ${((performance.now() - began) / 1000).toFixed(1)} s`)
    const times: number[] = []
    for (let i = 0; i < ROUNDS; i += 1) {
      const start = performance.now()
      if ((await ask()) !== 200) throw new Error('activations were not judged')
      times.push(performance.now() - start)
    }
    console.log(`  ${TOKENS} tokens, F32: ${spread(times)}`)
    const [own, ...children] = await memoryOf(server.pid)
    const peak = Math.max(0, ...children.map((child) => child.peak))
    console.log(
      `  peak: server ${own?.peak.toFixed(0) ?? ''} MB, detector’s process ${peak.toFixed(0)} MB`,
    )
  } finally {
    await server.stop()
  }
}

const folder = await mkdtemp(join(values.folder, 'strongroom-import-'))
try {
  await writeLlamaScope(folder)
  await writeFile(join(folder, 'classifier.safetensors'), classifier())
  const { size } = await stat(join(folder, 'checkpoints/final.safetensors'))
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores; ${LATENTS} latents on ${WIDTH} numbers, BF16, ${(size / 1e6).toFixed(0)} MB; ${READ} latents read`,
  )
  for (const [name, act] of [
    ['JumpReLU', { act_fn: 'jumprelu', jump_relu_threshold: 0.5 }],
    ['TopK 64, its norms folded', { act_fn: 'topk', top_k: 64 }],
    ['TopK 64, weights as they are', { act_fn: 'topk', top_k: 64, sparsity_include_decoder_norm: false }], // prettier-ignore
  ] as const) {
    await writeFile(join(folder, 'hyperparams.json'), hyperparams(act))
    const detector = join(folder, 'detector.safetensors')
    const { seconds, megabytes } = await timed(['detector', 'import', folder, '--classifiers', join(folder, 'classifier.safetensors'), '-o', detector]) // prettier-ignore
    const made = (await stat(detector)).size / 1e6
    console.log(`${name}: imported in ${seconds.toFixed(1)} s, peak ${megabytes.toFixed(0)} MB; the detector has ${made.toFixed(0)} MB`) // prettier-ignore
    await serve(detector, join(folder, name.replace(/\W+/g, '-')))
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
