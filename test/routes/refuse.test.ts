import { execFile, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'

const run = promisify(execFile)
const PYTHON = process.env['PYTHON'] ?? 'python3'

const SIZE = 14_000_000
/** Closing on a client that still sends hides the answer from it often, not always. */
const TIMES = 5

const folder = t.testdir({ one: {}, limited: {} })
const { url, token } = await startServer(t, {}, join(folder, 'one'))
const limited = await startServer(t, { STRONGROOM_MAX_FILE_BYTES: '1MiB' }, join(folder, 'limited'))
const GOOD = join(folder, 'good')
const BAD = join(folder, 'bad')
const bytes = new Uint8Array(SIZE)
const good = writeSafetensors([{ name: 'a', dtype: 'U8', shape: [SIZE], bytes }])
const bad = Buffer.concat([Buffer.from([0x80, 2, 0x7d]), bytes])
writeFileSync(GOOD, good)
writeFileSync(BAD, bad)

interface Refused {
  readonly status: number
  readonly code: string
  readonly url: string
  readonly token: string
  readonly file: string
  readonly body: Uint8Array<ArrayBuffer>
}

const PUT = '/v1/checkpoints/acme/refused/1.0'
const ofGood = { file: GOOD, body: good }
const REFUSED: readonly Refused[] = [
  { status: 401, code: 'UNAUTHENTICATED', url: url + PUT, token: 'sr_unknown', ...ofGood },
  { status: 403, code: 'FORBIDDEN', url: url + PUT, token: await token('reader'), ...ofGood },
  { status: 413, code: 'TOO_LARGE', url: limited.url + PUT, token: ADMIN, ...ofGood },
  { status: 404, code: 'NOT_FOUND', url: `${url}/v1/nowhere`, token: ADMIN, ...ofGood },
  {
    status: 422,
    code: 'INVALID_SAFETENSORS',
    url: url + PUT,
    token: ADMIN,
    file: BAD,
    body: Buffer.from(bad),
  },
]

const repeated = (seen: string): string[] => Array.from({ length: TIMES }, () => seen)

async function withCurl({ url, token, file }: Refused, expect: string): Promise<string> {
  const headers = [`authorization: Bearer ${token}`, `expect:${expect}`]
  const { stdout } = await run('curl', [
    ...['--silent', '--show-error', '--upload-file', file, '--write-out', ' %{http_code}'],
    ...headers.flatMap((header) => ['--header', header]),
    url,
  ])
  return stdout
}

const seenIn = (answer: string): string => {
  const [, code, status] = /"code":"(\w+)".* (\d+)$/s.exec(answer) ?? []
  return `${status ?? ''} ${code ?? ''}`
}

for (const refused of REFUSED) {
  const { status, code } = refused
  const expected = repeated(`${status} ${code}`)

  t.test(`curl sees a ${status} every time, in the middle of its upload`, async (t) => {
    if (spawnSync('curl', ['--version']).status !== 0) {
      t.comment('NOT TESTED: there is no curl here')
      t.pass('the wire is tested with other clients')
      return
    }
    for (const expect of ['', ' 100-continue']) {
      const seen: string[] = []
      while (seen.length < TIMES) seen.push(seenIn(await withCurl(refused, expect)))
      t.strictSame(seen, expected, expect)
    }
  })

  t.test(`fetch sees a ${status} every time, in the middle of its upload`, async (t) => {
    const seen: string[] = []
    while (seen.length < TIMES) {
      const response = await fetch(refused.url, {
        method: 'PUT',
        headers: { authorization: `Bearer ${refused.token}` },
        body: refused.body,
      })
      const body = (await response.json()) as { code: string }
      seen.push(`${response.status} ${body.code}`)
    }
    t.strictSame(seen, expected)
  })
}

const SCRIPT = `
import json, requests, sys
for case in json.loads(sys.argv[1]):
    for headers in ({}, {'Expect': '100-continue'}):
        for _ in range(${TIMES}):
            try:
                with open(case['file'], 'rb') as file:
                    answer = requests.put(case['url'], data=file, headers={'Authorization': 'Bearer ' + case['token'], **headers})
                print(answer.status_code, answer.json()['code'])
            except requests.ConnectionError as error:
                print(error)
`

t.test('Python’s requests sees every refusal in the middle of its upload', async (t) => {
  if (spawnSync(PYTHON, ['-c', 'import requests']).status !== 0) {
    t.comment('NOT TESTED: python3 has no requests here; `pip install requests` brings it')
    t.pass('the wire is tested with other clients')
    return
  }
  const cases = REFUSED.map(({ file, url, token }) => ({ file, url, token }))
  const { stdout } = await run(PYTHON, ['-c', SCRIPT, JSON.stringify(cases)])
  t.strictSame(
    stdout.trim().split('\n'),
    REFUSED.flatMap(({ status, code }) => {
      const seen = `${status} ${code}`
      return [...repeated(seen), ...repeated(seen)]
    }),
  )
})

/** Sends the head of a PUT and a beginning of its body, and reads the first answer, interim ones included. */
async function beginPut(
  { url, token }: Pick<Refused, 'url' | 'token'>,
  expects: boolean,
  beginning: Uint8Array,
): Promise<string> {
  const { port, pathname } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  const head = [
    `PUT ${pathname} HTTP/1.1`,
    'host: a',
    `authorization: Bearer ${token}`,
    `content-length: ${SIZE}`,
    ...(expects ? ['expect: 100-continue'] : []),
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  socket.write(beginning)
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    text += String(chunk)
    if (text.includes('"request_id"') || text.startsWith('HTTP/1.1 100')) break
  }
  return text
}

t.test('who expects to be asked for its body is refused without being asked', async (t) => {
  for (const refused of REFUSED.filter(({ status }) => status !== 422)) {
    const answer = await beginPut(refused, true, Buffer.alloc(0))
    t.match(answer, new RegExp(`^HTTP/1.1 ${refused.status} `))
    t.match(answer, /\r\nconnection: close\r\n/i)
    t.match(answer, refused.code)
  }
  const answer = await beginPut({ url: url + PUT, token: ADMIN }, true, Buffer.alloc(0))
  t.equal(answer, 'HTTP/1.1 100 Continue\r\n\r\n', 'who may publish is asked')
})

t.test('a bad file is refused on its first bytes, though the rest never comes', async (t) => {
  const answer = await beginPut({ url: url + PUT, token: ADMIN }, false, bad.subarray(0, 64 * 1024))
  t.match(answer, /^HTTP\/1.1 422 /)
  t.match(answer, '"looks_like":"pickle"')
})

t.test('after a refusal the server takes in some of the body, not any amount', async (t) => {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => undefined)
  const head = ['PUT /v1/nowhere HTTP/1.1', 'host: a', 'transfer-encoding: chunked']
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  const chunk = Buffer.concat([
    Buffer.from('100000\r\n'),
    Buffer.alloc(1024 * 1024),
    Buffer.from('\r\n'),
  ])
  let taken = 0
  while (!socket.destroyed && taken < 200) {
    const more = await new Promise<boolean>((resolve) => {
      socket.write(chunk, (error) => {
        resolve(error === null || error === undefined)
      })
    })
    if (!more) break
    taken += 1
  }
  t.ok(taken >= 64 && taken < 200, `${taken} MiB`)
})

t.test('a form that came whole and is refused in its middle leaves no clock running', async (t) => {
  const form = new FormData()
  const text = Buffer.alloc(3_000_000, ' ')
  form.append('file', new Blob([text]), 'model.safetensors.index.json')
  const indexed = await startServer(t, { STRONGROOM_MAX_INDEX_BYTES: '2900000' })
  const clocks = (): number =>
    process.getActiveResourcesInfo().filter((what) => what === 'Timeout').length
  const before = clocks()
  for (let i = 0; i < 3; i++) {
    const path = '/v1/checkpoints/acme/form/1.0'
    const answer = await indexed.request(path, { token: ADMIN, method: 'POST', body: form })
    t.equal(answer.status, 413)
    await answer.text()
  }
  await indexed.close()
  t.ok(clocks() <= before, `${clocks()} clocks, and ${before} before`)
})
