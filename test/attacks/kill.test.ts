import { mkdirSync, readdirSync, watch } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ADMIN } from '../helpers/server.ts'
import { type ChildServer, startChild } from './child-server.ts'
import { dice, weights } from './hostile.ts'

// More kills: STRONGROOM_TEST_KILLS=2000 STRONGROOM_TEST_SEED=7 node test/attacks/kill.test.ts
const KILLS = Number(process.env['STRONGROOM_TEST_KILLS'] ?? 12)
const SEED = Number(process.env['STRONGROOM_TEST_SEED'] ?? 1)
const authorization = `Bearer ${ADMIN}`

/** A publish that was tried: one file by PUT, or two by a form. */
interface Attempt {
  readonly ref: string
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
  acknowledged: boolean
}

async function publish({ url }: ChildServer, attempt: Attempt): Promise<void> {
  const form = new FormData()
  for (const [path, bytes] of attempt.files) form.append('f', new Blob([bytes]), path)
  const [first] = attempt.files.values()
  const request =
    attempt.files.size === 1 && first !== undefined
      ? { method: 'PUT', body: first }
      : { method: 'POST', body: form }
  try {
    const answer = await fetch(`${url}/v1/checkpoints/${attempt.ref}`, {
      ...request,
      headers: { authorization },
    })
    await answer.text()
    attempt.acknowledged = answer.status === 201
  } catch {
    // The server was killed under it.
  }
}

/** Resolves at the n-th change in staging or in the ledger's folder. */
function change(folder: string, n: number): { happened: Promise<void>; close: () => void } {
  let left = n
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const watchers = ['vault/staging', 'ledger'].map((name) =>
    watch(join(folder, 'data', name), () => {
      left -= 1
      if (left <= 0) resolve(undefined)
    }),
  )
  return {
    happened: promise,
    close: () => {
      for (const watcher of watchers) watcher.close()
    },
  }
}

/** What is wrong with what a restarted server shows of an attempt; and whether it is there at all. */
async function inspect(
  { url }: ChildServer,
  { ref, files, acknowledged }: Attempt,
): Promise<{ trouble?: string; isThere: boolean }> {
  const get = (path: string): Promise<Response> =>
    fetch(`${url}/v1/checkpoints/${path}`, { headers: { authorization } })
  const described = await get(ref)
  await described.text()
  if (described.status === 404)
    return {
      isThere: false,
      ...(acknowledged ? { trouble: `${ref} was acknowledged and is gone` } : {}),
    }
  if (described.status !== 200) return { isThere: false, trouble: `${ref}: ${described.status}` }
  for (const [path, bytes] of files) {
    const answer = await get(`${ref}/files/${path}`)
    const isSame = answer.status === 200 && Buffer.from(await answer.arrayBuffer()).equals(bytes)
    if (!isSame) return { isThere: true, trouble: `${ref}/${path}: ${answer.status}, other bytes` }
  }
  return { isThere: true }
}

/** Kills a server that publishes versions of these files, again and again, and looks at what is there afterwards. */
async function killRounds(
  t: Test,
  folder: string,
  rounds: number,
  paths: readonly string[],
): Promise<void> {
  mkdirSync(join(folder, 'data'), { recursive: true })
  const roll = dice(SEED)
  const attempts: Attempt[] = []
  let server = await startChild(folder)
  t.teardown(() => server.kill())
  for (let round = 0; round < rounds; round++) {
    const fresh = Array.from({ length: 4 }, (_, i): Attempt => {
      const bytes = (file: number) =>
        weights(
          4 + roll() * (i === 0 ? 2.5 : 0.3) * 1024 * 1024,
          SEED * 1e6 + round * 100 + i * 10 + file,
        )
      return {
        ref: `acme/m${i}/v${round}`,
        files: new Map(paths.map((path, file) => [path, bytes(file)])),
        acknowledged: false,
      }
    })
    const watched = change(folder, 1 + Math.floor(roll() * 60))
    const publishing = Promise.all(fresh.map((attempt) => publish(server, attempt)))
    await Promise.race([watched.happened, publishing])
    await server.kill()
    watched.close()
    await publishing
    attempts.push(...fresh)

    server = await startChild(folder)
    const found = await Promise.all(fresh.map((attempt) => inspect(server, attempt)))
    const troubles = found.flatMap(({ trouble }) => trouble ?? [])
    t.same(
      troubles,
      [],
      `kill ${round}: ${fresh.filter(({ acknowledged }) => acknowledged).length} of 4 acknowledged`,
    )
    t.same(readdirSync(join(folder, 'data/vault/staging')), [], 'nothing stays staged')
  }
  const found = await Promise.all(attempts.map((attempt) => inspect(server, attempt)))
  t.same(
    found.flatMap(({ trouble }) => trouble ?? []),
    [],
    'all that was ever acknowledged is there at the end',
  )
  const files = attempts.reduce(
    (sum, attempt, i) => sum + (found[i]?.isThere === true ? attempt.files.size : 0),
    0,
  )
  const blobs = readdirSync(join(folder, 'data/vault/blobs'), {
    recursive: true,
    encoding: 'utf8',
  })
  t.equal(
    blobs.filter((path) => path.includes('/')).length,
    files,
    'and there is no blob that is nobody’s',
  )
  const audit = await fetch(`${server.url}/v1/audit/verify`, { headers: { authorization } })
  t.match(await audit.json(), { valid: true }, 'the audit log verifies')
  const acknowledged = attempts.filter((attempt) => attempt.acknowledged).length
  t.comment(
    `${attempts.length} publishes, ${acknowledged} acknowledged, ${found.filter(({ isThere }) => isThere).length} there`,
  )
}

const LIMIT_MS = 60_000 + KILLS * 3_000
t.setTimeout(LIMIT_MS)

t.test('a server that is killed keeps what it acknowledged, and nothing by halves', async (t) => {
  t.setTimeout(LIMIT_MS)
  const folder = t.testdir()
  // Two servers side by side, each with a folder of its own: most of the time goes into starting them.
  await Promise.all([
    killRounds(t, join(folder, 'one'), Math.ceil(KILLS / 2), ['model.safetensors']),
    killRounds(t, join(folder, 'several'), Math.ceil(KILLS / 2), [
      'a.safetensors',
      'b/c.safetensors',
    ]),
  ])
})
