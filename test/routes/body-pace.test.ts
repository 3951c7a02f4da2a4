import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { exchange, smallFile } from './wire.ts'

t.test('text that drips around files or as JSON does not hold its place for ever', async (t) => {
  const folder = t.testdir({ form: {}, json: {} })
  const settings = { STRONGROOM_STALL_TIMEOUT_MS: '1000', STRONGROOM_MAX_UPLOADS: '1' }
  async function drip(type: string, into: string): Promise<void> {
    const server = await startServer(t, settings, join(folder, into))
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => undefined)
    socket.write(
      `POST /v1/checkpoints/acme/drip/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN}\r\n` +
        `content-type: ${type}\r\ncontent-length: 100000\r\n\r\n`,
    )
    const drop = setInterval(() => socket.write(' '), 100)
    socket.resume()
    await closed
    clearInterval(drop)
    t.pass(`${type} was ended`)
    t.equal((await server.put('acme/drip/1', smallFile())).status, 201, 'its place is free again')
  }
  await Promise.all([
    drip('multipart/form-data; boundary=b', 'form'),
    drip('application/json', 'json'),
  ])
})

t.test('whoever hangs up at once leaves the gate of uploads behind', async (t) => {
  const server = await startServer(t, { STRONGROOM_MAX_UPLOADS: '2' })
  const put =
    `PUT /v1/checkpoints/acme/gone/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN}\r\n` +
    'content-length: 100000\r\n\r\n'
  for (let i = 0; i < 100; i++) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.on('error', () => undefined)
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.write(put)
    // At every moment of the request: before it is read, while it is looked at, in its body.
    for (let wait = 0; wait < i % 10; wait++) await new Promise(setImmediate)
    socket.resetAndDestroy()
  }
  for (;;) {
    const answer = await server.put('acme/gone/1', smallFile())
    if (answer.status === 429) continue
    t.equal(answer.status, 201)
    return
  }
})

t.test('a HEAD that is refused is answered, though its body never comes', async (t) => {
  const server = await startServer(t)
  const answer = await exchange(
    server.url,
    `HEAD /v1/checkpoints/acme/none/1/files/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN}\r\n` +
      'connection: close\r\ncontent-length: 5\r\n\r\nabcde',
  )
  t.equal(answer.status, 404)
})
