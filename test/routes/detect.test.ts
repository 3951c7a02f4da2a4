import fc from 'fast-check'
import t from 'tap'
import { tinyDetector } from '../detect/fixture.ts'
import { ADMIN } from '../helpers/server.ts'
import { startDetecting } from './detecting.ts'
import { type Json, jsonOf, problem } from './wire.ts'

interface Answer {
  readonly pii_spans: readonly {
    readonly category: string
    readonly start: number
    readonly end: number
    readonly start_char: number
    readonly end_char: number
    readonly confidence: number
    readonly text?: string
    readonly latents?: readonly Json[]
  }[]
  readonly has_pii: boolean
  readonly redacted_text?: string
}

t.setTimeout(120_000)

const { post, request, token, put, served, log, strongroom } = await startDetecting(t)

const detect = async (body: Json): Promise<Answer> => {
  const response = await post('/detect', body)
  if (response.status !== 200) throw new Error(await response.text())
  return (await response.json()) as Answer
}
const ofMails = { categories: ['email'] }

t.test('a text is answered by its spans, who found them and how', async (t) => {
  const response = await post('/detect', { text: 'Write to jane.doe@example.org.', ...ofMails })
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  const answer = await jsonOf(response)
  t.equal(response.headers.get('x-checkpoint-revision'), (answer['model'] as Json)['revision'])
  t.match(answer, {
    pii_spans: [{ category: 'email', start: 9, end: 29, start_char: 9, end_char: 29 }],
    has_pii: true,
    offset_encoding: 'utf16',
    language: 'und',
    model_version: 'acme/tiny@1.0',
    model: {
      revision: /^[0-9a-f]{64}$/,
      sha256: /^[0-9a-f]{64}$/,
      provider: 'cpu',
      activation: 'jumprelu',
    },
    chunks: 2,
  })
  t.type(answer['processing_time_ms'], 'number')
  for (const name of ['redacted_text', 'text', 'latents']) t.notMatch(answer, { [name]: /./ })
})

t.test('several texts are answered in their order, and the language as it was asked', async (t) => {
  const texts = ['a@example.org', 'nothing', '', 'or b@example.org']
  const response = await post('/detect', { texts, language: 'de', ...ofMails })
  const { results } = (await response.json()) as { results: readonly (Answer & Json)[] }
  t.strictSame(
    results.map(({ pii_spans: spans }) => spans.map(({ start, end }) => [start, end])),
    [[[0, 13]], [], [], [[3, 16]]],
  )
  t.ok(results.every(({ language }) => language === 'de'))
})

t.test('one text in a list is answered by a list', async (t) => {
  t.match(await detect({ texts: ['x'] }), { results: [{ has_pii: false }] })
})

t.test('a blank text has no spans', async (t) => {
  for (const text of ['', ' ', '\n\t \u00a0\u3000', '\u200b\ufeff'])
    t.match(await detect({ text, confidence_threshold: 0 }), { pii_spans: [], has_pii: false })
})

t.test('spans of every unit are the same parts of the text, whatever it holds', async (t) => {
  const slices = {
    utf16: (text: string, start: number, end: number) => text.slice(start, end),
    codepoint: (text: string, start: number, end: number) =>
      Array.from(text).slice(start, end).join(''),
    utf8: (text: string, start: number, end: number) =>
      Buffer.from(text).subarray(start, end).toString(),
  }
  const anything = fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) })
  const wide = fc.string({ unit: 'binary' })
  const telling = fc.constantFrom('😀', '\u0000', '\ud83d', '\u202e', 'é', 'Anna Schmidt 49')
  const noise = fc.oneof(anything, wide, telling)
  const hiding = fc.tuple(noise, noise).map((around) => around.join(' jane@example.org '))
  const many = fc.array(hiding, { minLength: 16, maxLength: 16 })
  const unit = fc.constantFrom('utf16', 'codepoint', 'utf8')
  await fc.assert(
    fc.asyncProperty(many, unit, async (texts, offset_encoding) => {
      const asked = { texts, offset_encoding, include_text: true, confidence_threshold: 0 }
      const { results } = (await (await post('/detect', asked)).json()) as { results: Answer[] }
      for (const [i, { pii_spans: spans }] of results.entries()) {
        t.ok(spans.some(({ text }) => text?.includes('jane@example.org')))
        let last = 0
        for (const { start, end, text: part } of spans) {
          const slice = slices[offset_encoding](texts[i] ?? '', start, end)
          // Bytes have no lone surrogates: encoders write U+FFFD for one.
          t.equal(slice, offset_encoding === 'utf8' ? part?.toWellFormed() : part)
          t.ok(last <= start && start < end)
          last = end
        }
      }
    }),
    { numRuns: 6 },
  )
})

t.test('only spans from the threshold on, and of the categories, are told', async (t) => {
  const text =
    'Anna lives at 12 Long Road. Call +49 30 901820 or (212) 555-0147 and mail a@example.org'
  const { pii_spans: all } = await detect({ text, confidence_threshold: 0 })
  t.ok(new Set(all.map(({ category }) => category)).size > 1, 'random weights find something')
  const confident = await detect({ text, confidence_threshold: 0.9 })
  t.strictSame(
    confident.pii_spans,
    all.filter(({ confidence }) => confidence >= 0.9),
  )
  const usual = await detect({ text })
  t.strictSame(
    usual.pii_spans,
    all.filter(({ confidence }) => confidence >= 0.8),
  )
  const mails = await detect({ text, confidence_threshold: 0, ...ofMails })
  t.strictSame(
    mails.pii_spans,
    all.filter(({ category }) => category === 'email'),
  )
})

t.test(
  'a redacted text has a label for each span, in the caller’s words where there are some',
  async (t) => {
    const text = 'From \ud83d a@example.org to b@example.org.'
    const redacted = async (redact: unknown) =>
      (await detect({ text, redact, ...ofMails })).redacted_text
    t.equal(await redacted(true), 'From \ud83d [EMAIL] to [EMAIL].')
    t.equal(await redacted({ email: '<mail>' }), 'From \ud83d <mail> to <mail>.')
    t.equal(await redacted({ email: '' }), 'From \ud83d  to .')
    t.equal(await redacted({ phone: 'x' }), 'From \ud83d [EMAIL] to [EMAIL].')
    t.equal(await redacted({}), 'From \ud83d [EMAIL] to [EMAIL].')
    t.equal(await redacted(false), undefined)
  },
)

t.test('spans say which latents speak for them where that is asked for', async (t) => {
  const { pii_spans: spans } = await detect({
    text: 'Anna Schmidt, anna@example.org',
    confidence_threshold: 0,
    explain: true,
  })
  t.ok(spans.length > 0)
  for (const { latents = [] } of spans) {
    t.ok(latents.length > 0)
    for (const latent of latents) {
      t.match(latent, { latent: Number, activation: Number, weight: Number })
      t.ok((latent['latent'] as number) < 48)
    }
  }
})

t.test(
  'an answer of thousands of spans comes whole, and who hangs up in it is no error',
  async (t) => {
    const text = 'a@b.co '.repeat(1428)
    const asked = { texts: Array<string>(7).fill(text), include_text: true, ...ofMails }
    const response = await post('/detect', asked)
    t.equal(response.headers.get('content-length'), null, 'it is sent as it is written')
    const { results } = (await response.json()) as { results: readonly Answer[] }
    t.strictSame(
      results.map(({ pii_spans: spans }) => spans.length),
      Array(7).fill(1428),
    )
    const abandoned = await post('/detect', asked)
    await abandoned.body?.cancel()
    t.strictSame(
      log().filter(({ level }) => level === 50),
      [],
    )
  },
)

t.test('what can’t be meant is refused, field by field', async (t) => {
  const text = 'x'
  const wrong: readonly (readonly [body: unknown, field: string])[] = [
    [{}, 'body'],
    [{ text, texts: [text] }, 'body'],
    [{ text: 5 }, 'body.text'],
    [{ text: null }, 'body.text'],
    [{ text: ['x'] }, 'body.text'],
    [{ texts: 'x' }, 'body.texts'],
    [{ texts: [] }, 'body.texts'],
    [{ texts: ['x', 5] }, 'body.texts.1'],
    [{ text, language: 'tlh' }, 'body.language'],
    [{ text, language: '' }, 'body.language'],
    [{ text, confidence_threshold: 1.01 }, 'body.confidence_threshold'],
    [{ text, confidence_threshold: -0.01 }, 'body.confidence_threshold'],
    [{ text, confidence_threshold: '0.5' }, 'body.confidence_threshold'],
    ['{"text":"x","confidence_threshold":1e999}', 'body.confidence_threshold'],
    [{ text, categories: ['iban'] }, 'body.categories.0'],
    [{ text, categories: [] }, 'body.categories'],
    [{ text, categories: 'email' }, 'body.categories'],
    [{ text, offset_encoding: 'utf32' }, 'body.offset_encoding'],
    [{ text, redact: 'yes' }, 'body.redact'],
    [{ text, redact: { iban: 'x' } }, 'body.redact.iban'],
    [{ text, redact: { email: 'x'.repeat(129) } }, 'body.redact.email'],
    [{ text, include_text: 1 }, 'body.include_text'],
    [{ text, explain: 'true' }, 'body.explain'],
    [{ text, threshold: 0.5 }, 'body.threshold'],
    ['{"text":"x","__proto__":{"explain":true}}', 'body.__proto__'],
    ['{"text":"x"', 'body'],
    ['', 'body'],
    ['"x"', 'body'],
  ]
  for (const [body, field] of wrong) {
    const { errors } = await problem(t, await post('/detect', body), 400, 'INVALID_REQUEST')
    t.ok(
      (errors as readonly Json[]).some((error) => error['field'] === field),
      `${JSON.stringify(body)}: ${JSON.stringify(errors)}`,
    )
  }
})

t.test('what isn’t JSON in UTF-8 is refused, not repaired', async (t) => {
  const send = (type: string, body: Uint8Array<ArrayBuffer> | string) =>
    request('/detect', {
      token: ADMIN,
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
  const latin1 = Buffer.from('{"text":"caf\u00e9"}', 'latin1')
  await problem(t, await send('application/json', latin1), 400, 'INVALID_REQUEST')
  await problem(t, await send('text/plain', 'x'), 415, 'UNSUPPORTED_MEDIA_TYPE')
  const marked = await send('application/json', '\ufeff{"text":"a@example.org"}')
  t.match(await marked.json(), { pii_spans: [{ start: 0 }] }, 'a mark before it is none of it')
})

t.test('detectors and admins may ask, and nobody else', async (t) => {
  const body = { text: 'x' }
  for (const path of ['/detect', '/detect-pii']) {
    t.equal((await post(path, body, await token('detector'))).status, 200)
    for (const role of ['reader', 'writer', 'auditor'])
      await problem(t, await post(path, body, await token(role)), 403, 'FORBIDDEN')
    const unknown = await request(path, { token: undefined, method: 'POST' })
    await problem(t, unknown, 401, 'UNAUTHENTICATED')
  }
  const models = await request('/detect/models', { token: await token('reader') })
  await problem(t, models, 403, 'FORBIDDEN')
})

t.test('/detect-pii shows what it found', async (t) => {
  const text = 'Mail 😀 a@example.org, b@example.org'
  const answer = await jsonOf(await post('/detect-pii', { text }))
  const entities = answer['entities'] as readonly Json[]
  const mails = entities.filter(({ type }) => type === 'email')
  t.match(mails, [
    { value: 'a@example.org', start: 8, end: 21 },
    { value: 'b@example.org', start: 23, end: 36 },
  ])
  t.equal(answer['has_pii'], true)
  t.ok((answer['categories'] as string[]).includes('email'))
  t.equal(answer['confidence'], Math.max(...entities.map((each) => each['confidence'] as number)))
  t.type(answer['latency_ms'], 'number')
  const nothing = await jsonOf(await post('/detect-pii', { text: '', threshold: 0 }))
  t.match(nothing, { has_pii: false, categories: [], entities: [], confidence: 0 })
  for (const body of [{}, { text: 5 }, { text, threshold: 2 }, { text, confidence_threshold: 1 }])
    await problem(t, await post('/detect-pii', body), 400, 'INVALID_REQUEST')
})

t.test('/detect/models tells what serves', async (t) => {
  const { items } = await jsonOf(
    await request('/detect/models', { token: await token('detector') }),
  )
  t.match(items, [
    {
      slot: 'primary',
      ref: 'acme/tiny@production',
      percent: 100,
      state: 'serving',
      problem: null,
      version: '1.0',
      provider: 'cpu',
      fell_back: [],
      languages: ['en', 'de', 'fr', 'es', 'ja'],
      reads_text: true,
      sae: { architecture: 'jumprelu', d_model: 32, width: 48, kept_latents: 48, k: null },
      classifiers: [{ kind: 'logistic', link: 'softmax' }],
      scores: {},
    },
  ])
})

t.test('a tag that moves is a rollout, which the answers tell', async (t) => {
  await put('acme/tiny/2.0', tinyDetector({ seed: 2, threshold: 0.15 }))
  await request('/v1/checkpoints/acme/tiny/tags/production', {
    token: ADMIN,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{"ref":"2.0"}',
  })
  await served('2.0')
  t.match(await detect({ text: 'x' }), { model_version: 'acme/tiny@2.0' })
})

t.test(
  'the audit log counts by token, detector and minute; no text is there or in the log',
  async (t) => {
    const secret = await token('detector')
    const text = 'unmistakable@example.org'
    const bytes = Buffer.byteLength(JSON.stringify({ text }))
    for (const path of ['/detect', '/detect', '/detect-pii']) await post(path, { text }, secret)
    await post('/detect', { text, language: text }, secret)
    const found = await jsonOf(await request('/v1/audit?action=detect&limit=1000'))
    const own = (found['items'] as readonly Json[]).filter(
      ({ who }) => (who as Json)['name'] === 'detector of a test',
    )
    const entry = own.filter(({ details }) => (details as Json)['bytes'] === bytes * 3)
    t.match(entry, [{ subject: 'acme/tiny@2.0', outcome: 'ok', details: { count: 3 } }])
    t.match(entry, [{ revision: /^[0-9a-f]{64}$/, address: '127.0.0.1' }])
    t.notMatch(JSON.stringify(found), 'unmistakable')
    t.notMatch(JSON.stringify(log()), 'unmistakable')
    t.notMatch(await strongroom.metrics.registry.metrics(), 'unmistakable')
  },
)
