import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { read, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

t.test('no version or tag takes the place of a revision, a route or another version', async (t) => {
  const bytes = weights(64, 1)
  const published = await server.put('acme/bert/1', bytes)
  const { revision } = (await published.json()) as { revision: string }
  for (const name of [
    revision,
    revision.toUpperCase(),
    revision.slice(0, 40),
    'f'.repeat(63),
    'tags',
    'uploads',
    'main',
    'HEAD',
  ]) {
    t.match(
      await verdict(await server.put(`acme/bert/${name}`, weights(64, 2))),
      { status: 400, code: 'INVALID_NAME' },
      name,
    )
  }
  for (const route of ['policy', 'diff']) {
    const { status } = await server.put(`acme/bert/${route}`, weights(64, 2))
    t.match(String(status), /^4(05|15)$/, `${route} is another route's address`)
    const gone = await server.request(`/v1/checkpoints/acme/bert/${route}`, {
      token: ADMIN,
      method: 'DELETE',
    })
    t.equal(gone.status, 405)
  }
  t.match(
    await verdict(await server.put('acme/bert/latest', weights(64, 2))),
    { status: 409 },
    'latest',
  )
  t.match(
    await verdict(await server.put('acme/new/latest', weights(64, 2))),
    { status: 409 },
    'latest, first of all',
  )
  t.match(await verdict(await server.put('acme/bert/1', weights(64, 2))), {
    status: 409,
    code: 'VERSION_EXISTS',
  })
  for (const ref of ['1', revision, revision.toUpperCase(), revision.slice(0, 12)]) {
    t.ok((await read(server, `acme/bert/${ref}`)).bytes?.equals(bytes), ref)
  }
  // A short prefix is looked up last: a version of that name wins, and the answer says which version it is.
  t.equal((await server.put(`acme/bert/${revision.slice(0, 12)}`, weights(64, 2))).status, 201)
  const answer = await server.request(`/v1/checkpoints/acme/bert/${revision.slice(0, 12)}`)
  t.not(answer.headers.get('x-checkpoint-revision'), revision)
  t.ok(
    (await read(server, `acme/bert/${revision}`)).bytes?.equals(bytes),
    'the full revision still means itself',
  )
})

t.test('a checkpoint is one, however it is spelled', async (t) => {
  t.equal((await server.put('acme/spell/1', weights(64, 1))).status, 201)
  t.match(await verdict(await server.put('ACME/SPELL/1', weights(64, 2))), { status: 409 })
  t.equal((await server.put('ACME/SPELL/2', weights(64, 2))).status, 201)
  const outsider = await server.token('reader', 'other/*')
  for (const name of ['acme/spell', 'ACME/SPELL', 'aCmE/sPeLl'])
    t.equal((await server.request(`/v1/checkpoints/${name}/1`, { token: outsider })).status, 404)
  // The Kelvin sign lowers to k in Unicode, and nowhere here.
  t.equal((await server.put('acme/to%E2%84%AA/1', weights(64, 3))).status, 400)
  for (const owner of ['api', 'V1', 'Docs', 'strongroom.git'])
    t.match(
      await verdict(await server.put(`${owner}/x/1`, weights(64, 3))),
      { status: 400, code: 'INVALID_NAME' },
      owner,
    )
  const writer = await server.token('writer')
  t.match(await verdict(await server.put('StrongRoom/pii/1', weights(64, 3), { token: writer })), {
    status: 403,
  })
  t.equal((await server.put('strongroom/pii/1', weights(64, 3), { token: ADMIN })).status, 201)
})
