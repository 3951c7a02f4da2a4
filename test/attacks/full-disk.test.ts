import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN } from '../helpers/server.ts'
import { startChild } from './child-server.ts'
import { MIB, weights } from './hostile.ts'

/** Runs a program in a mount namespace of its own, with a disk of 6 MiB in `folder`. */
const onSmallDisk = (folder: string): readonly string[] => [
  'unshare',
  '--user',
  '--map-root-user',
  '--mount',
  'sh',
  '-ec',
  'mount -t tmpfs -o size=6m,mode=700 tmpfs "$1"; shift; exec "$@"',
  'sh',
  folder,
]

t.test('a vault that fills up refuses, gives the room back, and serves on', async (t) => {
  const folder = t.testdir()
  const vault = join(folder, 'data/vault')
  mkdirSync(vault, { recursive: true, mode: 0o700 })
  const [program, ...args] = [...onSmallDisk(vault), 'true']
  if (spawnSync(program, args).status !== 0) {
    t.comment('NO MOUNT NAMESPACES HERE: WHAT A FULL DISK DOES TO THE SERVER WAS NOT SHOWN')
    return
  }
  const server = await startChild(folder, {}, onSmallDisk(vault))
  t.teardown(() => server.kill())
  const authorization = `Bearer ${ADMIN}`
  const put = (ref: string, body: Uint8Array<ArrayBuffer> | ReadableStream): Promise<Response> =>
    fetch(`${server.url}/v1/checkpoints/${ref}`, {
      method: 'PUT',
      headers: { authorization },
      body,
      ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
    })
  const get = (path: string): Promise<Response> =>
    fetch(`${server.url}${path}`, { headers: { authorization } })
  const refused = { status: 507, code: 'INSUFFICIENT_STORAGE' }
  const large = weights(10 * MIB, 1)
  const first = weights(4 * MIB, 2)

  t.match(await (await put('acme/a/1', large)).json(), refused, 'what announces too much')
  for (let i = 0; i < 3; i++) {
    const answer = await put('acme/a/1', new Blob([large]).stream())
    t.match(await answer.json(), refused, 'what turns out to be too much')
  }
  t.equal(
    (await put('acme/a/1', first)).status,
    201,
    'what fits is taken in: the room was given back',
  )
  const streamed = await put('acme/a/2', new Blob([weights(4 * MIB, 3)]).stream())
  t.match(await streamed.json(), refused, 'now the same size is too much')
  t.equal((await get('/v1/checkpoints/acme/a/2')).status, 404, 'and no version came of it')
  const answer = await get('/v1/checkpoints/acme/a/1/files/model.safetensors')
  t.ok(Buffer.from(await answer.arrayBuffer()).equals(first), 'what was there is served')
  t.equal((await put('acme/b/1', weights(MIB, 4))).status, 201, 'what still fits is taken in')
  t.match(await (await get('/v1/audit/verify')).json(), { valid: true })
})
