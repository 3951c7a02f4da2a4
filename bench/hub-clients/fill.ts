import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeSafetensors } from '../../src/safetensors/write.ts'

/** An API of the registry's own, with an admin's token. */
export type Ask = (method: string, path: string, body?: unknown) => Promise<unknown>

export function asking(url: string, token: string): Ask {
  return async (method, path, body) => {
    const isForm = body instanceof FormData
    const answer = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && !isForm && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text && (JSON.parse(text) as unknown)
  }
}

/** The secret of a new token. */
async function newToken(ask: Ask, role: string, scope: string): Promise<string> {
  const name = `${role} of ${scope}`
  const made = await ask('POST', '/v1/tokens', { name, role, scope, expires_at: null })
  return (made as { token: string }).token
}

/** The token of a writer below `acme/`, and the variables that the steps want. */
export async function tokensFor(
  ask: Ask,
  admin: string,
): Promise<{ readonly token: string; readonly env: Readonly<Record<string, string>> }> {
  const env = {
    ADMIN: admin,
    AUDITOR: await newToken(ask, 'auditor', '*'),
    READER: await newToken(ask, 'reader', 'acme/*'),
  }
  return { token: await newToken(ask, 'writer', 'acme/*'), env }
}

const VALUES = 4096

function shard(name: string, seed: number): Uint8Array<ArrayBuffer> {
  const values = Float32Array.from({ length: VALUES }, (_, i) => Math.sin(seed * VALUES + i))
  const tensor = { name, dtype: 'F32', shape: [64, 64], bytes: new Uint8Array(values.buffer) }
  return writeSafetensors([tensor], { format: 'pt' })
}

/** A model of two shards with what goes with them, and an adapter in a folder. */
function modelFiles(seed: number): ReadonlyMap<string, Uint8Array<ArrayBuffer> | string> {
  const shards = [1, 2].map((i) => `model-0000${i}-of-00002.safetensors`) as [string, string]
  const names = ['embedding.weight', 'head.weight'] as const
  const index = {
    metadata: { total_size: 2 * 4 * VALUES },
    weight_map: { [names[0]]: shards[0], [names[1]]: shards[1] },
  }
  return new Map<string, Uint8Array<ArrayBuffer> | string>([
    [shards[0], shard(names[0], seed)],
    [shards[1], shard(names[1], seed + 1)],
    ['model.safetensors.index.json', JSON.stringify(index)],
    ['config.json', JSON.stringify({ model_type: 'bert', seed })],
    ['README.md', '---\nlicense: apache-2.0\n---\n# A model\n'],
    ['adapter/adapter_model.safetensors', shard('adapter.weight', seed + 2)],
  ])
}

async function publish(ask: Ask, ref: string, files: ReturnType<typeof modelFiles>): Promise<void> {
  const form = new FormData()
  for (const [path, bytes] of files) form.append('file', new Blob([bytes]), path)
  await ask('POST', `/v1/checkpoints/${ref}`, form)
}

/**
 * What the reading steps read, published through the registry's own API: `acme/model` 1.0 (tag `stable`) and 2.0,
 * `hidden/model`; the files of both versions also in `folder/published`.
 */
export async function fillForReading(ask: Ask, folder: string): Promise<void> {
  await ask('PUT', '/v1/owners/acme/policy', { sidecars: true })
  for (const [version, seed] of [
    ['1.0', 1],
    ['2.0', 7],
  ] as const) {
    const files = modelFiles(seed)
    for (const [path, bytes] of files) {
      const target = join(folder, 'published', version, path)
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, bytes)
    }
    await publish(ask, `acme/model/${version}`, files)
  }
  await ask('PUT', '/v1/checkpoints/acme/model/tags/stable', { ref: '1.0' })
  const single = await readFile(join(folder, 'published/1.0/adapter/adapter_model.safetensors'))
  await publish(ask, 'acme/single/1.0', new Map([['model.safetensors', new Uint8Array(single)]]))
  await publish(ask, 'hidden/model/1.0', new Map([['model.safetensors', new Uint8Array(single)]]))
}
