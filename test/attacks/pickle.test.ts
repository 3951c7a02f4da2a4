import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { blobsOf, staged, verdict } from './hostile.ts'
import { pickles, zip } from './pickles.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const fixture = (name: string): Buffer =>
  readFileSync(join(import.meta.dirname, '../fixtures/other-formats', name))

t.test('a pickle is refused under any name, in every protocol, and never runs', async (t) => {
  const marker = join(server.folder, 'ran')
  for (const [protocol, pickle] of pickles(`touch ${marker}`).entries()) {
    for (const query of ['', '?path=pytorch_model.bin', '?path=a/b.safetensors']) {
      const answer = await verdict(await server.put('acme/bert/1', pickle, { query }))
      t.match(
        answer,
        {
          status: 422,
          code: 'INVALID_SAFETENSORS',
          reason: 'not_safetensors',
          looks_like: 'pickle',
        },
        `protocol ${protocol}${query}`,
      )
    }
  }
  t.notOk(existsSync(marker), 'nothing ran')
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
  t.equal(
    (await server.request('/v1/checkpoints/acme/bert')).status,
    404,
    'no checkpoint came of it',
  )
})

t.test('what torch writes is refused, however it is called', async (t) => {
  for (const [name, looksLike] of [
    ['hostile.pt', 'torch_zip'],
    ['hostile.pkl', 'pickle'],
    ['state-dict.pt', 'torch_zip'],
    ['state-dict-legacy.pt', 'torch_legacy'],
  ] as const) {
    const form = new FormData()
    form.append('file', new Blob([Uint8Array.from(fixture(name))]), 'model.safetensors')
    const answer = await server.request('/v1/checkpoints/acme/bert/1', {
      token: ADMIN,
      method: 'POST',
      body: form,
    })
    t.match(await verdict(answer), { status: 422, looks_like: looksLike }, name)
  }
  const archive = zip('archive/data.pkl', pickles('true')[2] ?? Buffer.alloc(0))
  t.match(await verdict(await server.put('acme/bert/1', archive)), { status: 422 })
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

t.test('the pickles of this attack are live', async (t) => {
  if (spawnSync('python3', ['-c', '']).status !== 0) {
    t.comment('NO PYTHON HERE: WHETHER THE PICKLES WOULD RUN IN IT WAS NOT SHOWN')
    return
  }
  const folder = t.testdir()
  for (const [protocol, pickle] of pickles(`touch ${join(folder, 'ran')}`).entries()) {
    writeFileSync(join(folder, `${protocol}.pkl`), pickle)
  }
  const load =
    'import pickle, sys\nfor p in range(6): assert pickle.load(open(f"{sys.argv[1]}/{p}.pkl", "rb")) == 0'
  t.equal(spawnSync('python3', ['-c', load, folder]).status, 0)
  t.ok(existsSync(join(folder, 'ran')), 'each runs its command in whoever loads it')
})
