import { readdirSync, readFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import t from 'tap'
import reference from './fixtures/reference.json' with { type: 'json' }
import { startServer } from './helpers/server.ts'
import { type Json, jsonOf, problem } from './routes/wire.ts'

const FIXTURES = new URL('fixtures/', import.meta.url)

const { put, request } = await startServer(t)

interface Reference {
  readonly sha256: string
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: Readonly<
    Record<string, { readonly dtype: string; readonly shape: number[]; readonly sha256: string }>
  >
}

for (const [i, [path, read]] of Object.entries<Reference>(reference).entries()) {
  t.test(
    `${path} comes back byte for byte, with the tensors that the reference reads`,
    async (t) => {
      const file = readFileSync(new URL(path, FIXTURES))
      const ref = `real/files/1.${i}`
      const published = await put(ref, file, { query: `?path=${path}` })
      t.equal(published.status, 201)
      const { files } = await jsonOf(published)
      const [described] = files as readonly Json[]
      t.equal(described?.['sha256'], read.sha256)
      t.strictSame(described?.['metadata'], read.metadata)
      t.equal(described?.['tensors'], Object.keys(read.tensors).length)

      const served = await request(`/v1/checkpoints/${ref}/files/${path}`)
      t.ok(file.equals(Buffer.from(await served.arrayBuffer())))

      const page = await jsonOf(await request(`/v1/checkpoints/${ref}/tensors?limit=1000`))
      const items = page['items'] as readonly Json[]
      t.strictSame(
        Object.fromEntries(
          items.map(({ name, dtype, shape, sha256 }) => [name, { dtype, shape, sha256 }]),
        ),
        read.tensors,
      )
      for (const { name, begin, end, sha256 } of items as readonly {
        name: string
        begin: number
        end: number
        sha256: string
      }[]) {
        const bytes = file.subarray(begin, end)
        t.equal(createHash('sha256').update(bytes).digest('hex'), sha256, name)
      }
    },
  )
}

const LOOKS: Readonly<Record<string, string>> = {
  'arrays.npz': 'npz',
  'hostile.pkl': 'pickle',
  'hostile.pt': 'torch_zip',
  'model.gguf': 'gguf',
  'model.onnx': 'onnx',
  'state-dict-0.pkl': 'pickle',
  'state-dict-2.pkl': 'pickle',
  'state-dict-4.pkl': 'pickle',
  'state-dict-legacy.pt': 'torch_legacy',
  'state-dict.pt': 'torch_zip',
  'weights.h5': 'hdf5',
}

for (const name of readdirSync(new URL('other-formats', FIXTURES))) {
  t.test(`${name} is refused for what it is, also when it is called safetensors`, async (t) => {
    const file = readFileSync(new URL(`other-formats/${name}`, FIXTURES))
    for (const path of [name, 'model.safetensors']) {
      const response = await put('real/others/1.0', file, { query: `?path=${path}` })
      const facts = { reason: 'not_safetensors', looks_like: LOOKS[name] ?? 'no row here', path }
      await problem(t, response, 422, 'INVALID_SAFETENSORS', facts)
    }
  })
}
