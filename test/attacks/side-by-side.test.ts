import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { call, fileUrl, head, read, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t, { STRONGROOM_CACHE_BYTES: '16MiB' })

t.test('readers that come and go at once never close a blob under each other', async (t) => {
  const files = Array.from({ length: 20 }, (_, i) => weights(1.2 * 1024 * 1024, i))
  for (const [i, bytes] of files.entries()) {
    t.equal((await server.put(`acme/m${i}/1`, bytes)).status, 201)
  }
  // More leaves than the cache holds, so that every round opens files again.
  for (let round = 0; round < 3; round++) {
    const wrong = await Promise.all(
      files.flatMap((bytes, i) =>
        [1, 2].map(async () => {
          const answer = await read(server, `acme/m${i}/1`)
          return answer.bytes?.equals(bytes) === true ? [] : [`m${i}: ${answer.code ?? 'wrong'}`]
        }),
      ),
    )
    t.same(wrong.flat(), [], 'all are read whole, none is taken for damaged')
  }
})

t.test('a parse error behind a whole request lets its answer out first', async (t) => {
  const bytes = weights(3 * 1024 * 1024)
  t.equal((await server.put('acme/a/1', bytes)).status, 201)
  const caller = call(server)
  await caller.send(head(`GET ${fileUrl('acme/a/1')}`), '\0 this is no request\r\n\r\n')
  const answer = await caller.closed
  t.ok(
    answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(bytes),
    'all of it, and nothing behind it',
  )
  t.equal((await server.request('/livez', { token: ADMIN })).status, 200)
})
