import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

const revisionOf = async (answer: Response): Promise<string> => {
  const { revision } = (await answer.json()) as { revision: string }
  return revision
}
const first = await revisionOf(await server.put('acme/bert/1.0', fileOf(100)))
const second = await revisionOf(await server.put('acme/bert/1.1', fileOf(200)))

t.test('a tag is made, moved, rolled back, and its history says who did it', async (t) => {
  const made = await run(['tag', 'acme/bert@1.0', 'production'], env)
  t.equal(made.code, 0, made.stderr)
  t.equal(made.stdout, `production names 1.0 (revision ${first.slice(0, 12)}); a new tag\n`)
  const moved = await run(['tag', 'acme/bert@latest', 'production', '--json'], env)
  t.match(json(moved.stdout), {
    tag: 'production',
    version: '1.1',
    revision: second,
    previous: first,
  })
  const back = await run(['tag', 'acme/bert@1.0', 'production'], env)
  t.match(back.stdout, `before: revision ${second.slice(0, 12)}`)
  t.match(await run(['tag', 'acme/bert@1.0', 'production'], env), { stdout: /; as before\n/ })

  const listed = await run(['tag', 'acme/bert'], env)
  t.match(listed, { code: 0, stdout: /^TAG +VERSION +REVISION\n/ })
  t.match(listed.stdout, new RegExp(`production +1\\.0 +${first.slice(0, 12)}`))
  t.match(listed.stdout, /latest +1\.1/)

  const history = await run(['tag', 'acme/bert', 'production', '--history'], env)
  t.equal(history.code, 0, history.stderr)
  const [heading = '', ...rows] = history.stdout.trimEnd().split('\n')
  t.match(heading, /^SEQ +AT +ACTION +VERSION +REVISION +BEFORE +WHO$/)
  t.equal(rows.length, 3)
  t.match(rows[0] ?? '', / moved +1\.0 .*admin/)
  t.match(rows[2] ?? '', / created +1\.0 +[0-9a-f]{12} +- /)
  const asJson = await run(['tag', 'acme/bert', 'production', '--history', '--json'], env)
  t.match(json(asJson.stdout), {
    tag: 'production',
    items: [{ version: '1.0', revision: first, previous: second }, {}, { previous: null }],
  })
})

t.test('a tag is moved only from where it is expected', async (t) => {
  const move = (...more: readonly string[]) => run(['tag', 'acme/bert@1.1', 'canary', ...more], env)
  t.match(await move('--expected', first), { code: 1, stderr: /TAG_MOVED/ })
  t.equal((await move('--new')).code, 0)
  t.match(await move('--new', '--json'), { code: 1, stderr: /"code":"TAG_MOVED"/ })
  t.equal((await move('--expected', second)).code, 0)
  t.match(await run(['tag', 'acme/bert@1.0', 'canary', '--expected', first], env), { code: 1 })
})

t.test('a tag is deleted, and what it named stays', async (t) => {
  t.equal((await run(['tag', 'acme/bert@1.0', 'old'], env)).code, 0)
  const expecting = ['tag', 'acme/bert', 'old', '--delete', '--expected', second]
  t.match(await run(expecting, env), { code: 1, stderr: /TAG_MOVED/ })
  t.match(await run(['tag', 'acme/bert', 'old', '--delete'], env), {
    code: 0,
    stdout: 'old deleted\n',
  })
  t.match(await run(['tag', 'acme/bert', 'old', '--delete'], env), {
    code: 1,
    stderr: /NOT_FOUND what=tag/,
  })
  t.equal((await run(['show', 'acme/bert@1.0'], env)).code, 0)
})

t.test('the server’s own tag is not moved, and a version is no tag', async (t) => {
  t.match(await run(['tag', 'acme/bert@1.0', 'latest'], env), { code: 1, stderr: /TAG_PROTECTED/ })
  t.match(await run(['tag', 'acme/bert@1.0', '1.1'], env), { code: 1, stderr: /VERSION_EXISTS/ })
  t.match(await run(['tag', 'acme/bert@9', 'x'], env), { code: 1, stderr: /what=version/ })
})

t.test('push moves the tags that it is given once the version is there', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(300)) })
  const push = ['push', 'model.safetensors']
  const pushed = await run([...push, 'acme/bert@1.2', '--tag', 'next', '--tag', 'b'], env, folder)
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stdout, /published\n/)
  t.match(pushed.stdout, /tags +latest, next, b\n/)
  const again = await run([...push, 'acme/bert@1.2', '--tag', 'c', '--json'], env, folder)
  t.match(json(again.stdout), { version: '1.2', tags: ['b', 'latest', 'next', 'c'] })

  const refused = await run([...push, 'acme/bert@1.3', '--tag', 'latest'], env, folder)
  t.equal(refused.code, 1)
  t.match(refused.stderr, /TAG_PROTECTED/)
  t.match(refused.stdout, /acme\/bert@1\.3 published/, 'and it says that the version is there')
})

t.test('what can’t be meant ends with 2', async (t) => {
  const wrong = [
    ['acme/bert@1.0'],
    ['acme/bert', 'production'],
    ['acme/bert', '--delete'],
    ['acme/bert', '--history'],
    ['acme/bert', 'production', '--delete', '--history'],
    ['acme/bert@1.0', 'production', '--delete'],
    ['acme/bert@1.0', 'production', '--history'],
    ['acme/bert', 'production', '--history', '--new'],
    ['acme/bert', 'production', '--delete', '--new'],
    ['acme/bert@1.0', 'HEAD'],
    ['acme/bert@1.0', '../x'],
    ['acme/bert@1.0', 'production', '--expected', '1.0'],
    ['acme/bert@1.0', 'production', '--new', '--expected', first],
  ]
  const ended = await Promise.all(wrong.map((args) => run(['tag', ...args], env)))
  ended.forEach((one, i) => t.match(one, { code: 2, stdout: '' }, wrong[i]?.join(' ') ?? ''))
})
