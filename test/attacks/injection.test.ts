import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { head, shout, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t, { STRONGROOM_TRUST_PROXY: '1' })

/** What moves a terminal's cursor or ends a line, apart from the line ends that HTTP has itself. */
const hasControl = (text: string): boolean =>
  Buffer.from(text.replaceAll('\r\n', '')).some((byte) => byte < 0x20)

const NASTY = 'x\r\nX-Evil: 1\n\u001b[31mred\u0000\u2028<script>'

t.test(
  'nothing that a caller says begins a header, a log line or a terminal’s sequence',
  async (t) => {
    const query = `?meta.note=${encodeURIComponent(NASTY)}&meta.${encodeURIComponent(NASTY)}=y`
    t.equal(
      (await server.put('acme/a/1', weights(64), { query })).status,
      201,
      'metadata may hold anything',
    )
    const described = await server.request('/v1/checkpoints/acme/a/1')
    t.match(
      await described.json(),
      { metadata: { note: NASTY, [NASTY]: 'y' } },
      'and comes back exact',
    )
    const body = JSON.stringify({
      files: [{ path: 'a', sha256: 'ab'.repeat(32) }],
      metadata: { 'a\nb': { not: 'a string' } },
    })
    const headers = { 'content-type': 'application/json' }
    const held = { token: ADMIN, method: 'POST', headers, body }
    const unjudged = await verdict(await server.request('/v1/checkpoints/acme/a/3', held))
    t.match(unjudged.errors, [{ field: /metadata/ }], 'a key with a line break is judged too')
    const path = 'dir/"quoted" — ünïcode;x=y.safetensors'
    t.equal(
      (await server.put('acme/a/2', weights(64), { query: `?path=${encodeURIComponent(path)}` }))
        .status,
      201,
    )
    const served = await server.request(
      `/v1/checkpoints/acme/a/2/files/${path.split('/').map(encodeURIComponent).join('/')}`,
    )
    const disposition = served.headers.get('content-disposition') ?? ''
    t.match(disposition, /^attachment; filename="[\w.+-]+"; filename\*=UTF-8''[\w.%+~!-]+$/)
    const escaped = encodeURIComponent(NASTY)
    for (const target of [
      `/v1/checkpoints/acme/a/${escaped}`,
      `/v1/checkpoints/${escaped}/a/1`,
      `/v1/checkpoints/acme/a/1/files/${escaped}`,
      `/${escaped}`,
      `/v1/checkpoints?cursor=${escaped}&owner=${escaped}`,
      `/v1/audit?action=${escaped}`,
    ]) {
      const answer = await shout(server, head(`GET ${target}`, 'Connection: close'))
      t.notMatch(answer, /^x-evil/im, target.slice(0, 30))
      t.notOk(hasControl(answer), 'no control character comes back')
    }
    for (const header of [
      'X-Forwarded-For',
      'User-Agent',
      'X-Request-Id',
      'Referer',
      'X-Forwarded-Host',
      'Forwarded',
    ])
      for (const value of [
        '\u001b[31m',
        '<script>alert(1)</script>',
        'a'.repeat(8000),
        '::ffff:1.2.3.4%eth0',
        '"; DROP TABLE audit; --',
      ])
        for (const token of [ADMIN, 'sr_bad']) {
          const answer = await shout(
            server,
            `GET /v1/whoami HTTP/1.1\r\nHost: x\r\n${header}: ${value}\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
          )
          t.match(answer, /^HTTP\/1.1 (200|400|401|429) /, `${header}: ${value.slice(0, 10)}`)
          t.notMatch(answer, /<script>|DROP/, 'what was said is not said back')
        }
    const lines = server.log().map((line) => JSON.stringify(line))
    t.notOk(
      lines.some((line) => line.includes('\n') || line.includes('\u001b')),
      'each log line is one line, without escapes',
    )
    t.notMatch(lines.join(''), /meta\.|sr_bad|sr_the-admin/, 'and holds no query and no token')
  },
)

t.test('names in tokens hold no control characters', async (t) => {
  for (const name of [NASTY, '\u001b[2J', 'a\nb', '', 'x'.repeat(129), '\u009b31m']) {
    const answer = await server.request('/v1/tokens', {
      token: ADMIN,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, role: 'reader', scope: '*' }),
    })
    t.match(
      await verdict(answer),
      { status: 400, code: 'INVALID_REQUEST' },
      JSON.stringify(name.slice(0, 8)),
    )
  }
})

t.test('a flood of strangers leaves no entry in the audit log, and locks nobody out', async (t) => {
  const entries = async (): Promise<number> => {
    const verdict = await (await server.request('/v1/audit/verify')).json()
    return (verdict as { entries: number }).entries
  }
  const before = await entries()
  for (let i = 0; i < 300; i++) {
    const path =
      i % 3 === 0 ? `/nowhere/${i}` : i % 3 === 1 ? '/v1/checkpoints/acme/a/1' : '/v1/tokens'
    const token = i % 2 === 0 ? undefined : `sr_guess-${i}`
    const { status } = await server.request(path, { token, method: i % 5 === 0 ? 'POST' : 'GET' })
    if (![401, 404, 405, 429].includes(status)) t.fail(`${path}: ${status}`)
  }
  t.equal(await entries(), before, 'as many entries as before')
  t.equal(
    (await server.request('/v1/whoami', { token: ADMIN })).status,
    200,
    'a good token is never throttled',
  )
  t.equal((await server.request('/v1/whoami', { token: 'sr_bad' })).status, 429, 'a bad one is')
})
