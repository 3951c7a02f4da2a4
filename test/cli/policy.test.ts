import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

t.test('a policy is set for a checkpoint and for an owner, and the nearest wins', async (t) => {
  const folder = t.testdir({
    'owner.json': '{"finite": true, "protected_tags": ["production"]}',
    'own.json': '{"finite": false}',
    'broken.json': '{',
  })
  const unset = await run(['policy', 'acme/bert'], env)
  t.match(json(unset.stdout), { finite: false, protected_tags: [] })
  const ofOwner = await run(['policy', 'acme', '--set', 'owner.json'], env, folder)
  t.equal(ofOwner.code, 0, ofOwner.stderr)
  t.match(json(ofOwner.stdout), { finite: true })
  t.equal((await run(['policy', 'acme/bert', '--set', 'own.json'], env, folder)).code, 0)
  t.match(json((await run(['policy', 'acme/bert', '--json'], env)).stdout), {
    finite: false,
    protected_tags: ['production'],
  })
  t.strictSame(json((await run(['policy', 'acme/bert', '--own'], env)).stdout), { finite: false })
  t.match(await run(['policy', 'acme', '--set', 'broken.json'], env, folder), {
    code: 2,
    stderr: /broken\.json: it is not JSON/,
  })
  t.match(await run(['policy', 'acme', '--set', 'none.json'], env, folder), { code: 2 })
})

t.test('what is no policy is refused in the registry’s words', async (t) => {
  const folder = t.testdir({ 'p.json': '{"finite": "yes"}' })
  t.match(await run(['policy', 'acme/bert', '--set', 'p.json'], env, folder), {
    code: 1,
    stdout: '',
    stderr: /INVALID_REQUEST/,
  })
  for (const args of [['../x'], ['a/b/c'], [], ['acme', '--own', '--set', 'p.json']])
    t.equal((await run(['policy', ...args], env, folder)).code, 2, args.join(' '))
})

t.test('a version is withdrawn with its reason, which its readers are told', async (t) => {
  await server.put('beta/sae/1', fileOf(100))
  await server.put('beta/sae/2', fileOf(200))
  t.match(await run(['withdraw', 'beta/sae@2'], env), { code: 2, stderr: /--reason/ })
  t.match(await run(['withdraw', 'beta/sae@2', '--reason', 'trained on the wrong data'], env), {
    code: 0,
    stdout: 'beta/sae@2 withdrawn: trained on the wrong data\n',
  })
  t.match(await run(['pull', 'beta/sae@2', '-o', t.testdir()], env), {
    code: 1,
    stderr: /WITHDRAWN .*reason="trained on the wrong data"/,
  })
  t.match(await run(['ls', 'beta/sae'], env), { stdout: /\n1 .* latest\n2 .* withdrawn / })
  const other = await run(['withdraw', 'beta/sae@1', '--reason', 'x', '--json'], env)
  t.match(json(other.stdout), { version: '1', state: 'withdrawn' })
  t.equal((await run(['withdraw', 'beta/sae@1.9', '--reason', 'x'], env)).code, 1)
})
