import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { startDetecting } from './detecting.ts'
import { type Json, jsonOf } from './wire.ts'

t.setTimeout(120_000)

const { post, request, token } = await startDetecting(t)

const MAIL = { entities: ['EMAIL_ADDRESS'], language: 'en' }
const analyze = async (body: Json): Promise<unknown> =>
  (await post('/analyze', { ...MAIL, ...body })).json()

/** Asserts that it is refused as Presidio refuses. */
async function refused(t: Tap, response: Response, status: number): Promise<string> {
  t.equal(response.status, status)
  t.match(response.headers.get('content-type'), /^application\/json/)
  const { error, ...others } = await jsonOf(response)
  t.strictSame(others, {})
  t.type(error, 'string')
  return String(error)
}
type Tap = Pick<typeof t, 'equal' | 'match' | 'strictSame' | 'type'>

t.test('a text is answered by a list of results, in code points', async (t) => {
  const response = await post('/analyze', { ...MAIL, text: '😀 to a@example.org' })
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  const results = (await response.json()) as Json[]
  t.match(results, [{ entity_type: 'EMAIL_ADDRESS', start: 5, end: 18, score: Number }])
  t.equal(results[0]?.['analysis_explanation'], null)
})

t.test('a list of texts is answered by a list of lists', async (t) => {
  const found = await analyze({ text: ['a@example.org', '', 'mail b@example.org'] })
  t.match(found, [[{ start: 0, end: 13 }], [], [{ start: 5, end: 18 }]])
  t.match(await analyze({ text: ['a@example.org'] }), [[{ start: 0 }]])
})

t.test('what a client of Presidio sends as null is as if it weren’t there', async (t) => {
  const found = await analyze({
    text: 'a@example.org',
    entities: null,
    correlation_id: null,
    score_threshold: null,
    return_decision_process: null,
    ad_hoc_recognizers: null,
    context: null,
    allow_list: null,
    allow_list_match: 'exact',
    regex_flags: 26,
  })
  t.match(found, [{ entity_type: 'EMAIL_ADDRESS' }])
  t.match(await analyze({ text: 'a@example.org', ad_hoc_recognizers: [], entities: [] }), [{}])
})

t.test('results can say why, in the form of Presidio’s explanations', async (t) => {
  const found = await analyze({ text: 'a@example.org', return_decision_process: true })
  const [{ score, analysis_explanation: why } = { score: 0 }] = found as readonly Json[]
  t.match(why, {
    recognizer: 'SparseAutoencoderRecognizer',
    score,
    original_score: score,
    pattern: null,
    textual_explanation: /^Latents: \d+ \(activation [\d.e-]+, weight [\d.e-]+\)/,
  })
})

t.test('texts of the allow list aren’t told where they are the whole result', async (t) => {
  const text = 'a@example.org, b@example.org'
  t.match(await analyze({ text, allow_list: ['a@example.org'] }), [{ start: 15, end: 28 }])
  t.match(await analyze({ text, allow_list: ['example.org'] }), [{ start: 0 }, { start: 15 }])
})

t.test('results from the threshold on are told, and all of them without one', async (t) => {
  t.match(await analyze({ text: 'a@example.org', score_threshold: 1 }), [])
  const all = { text: 'Anna lives at 12 Long Road. Call +49 30 901820.', entities: null }
  t.strictSame(await analyze(all), await analyze({ ...all, score_threshold: 0 }))
})

t.test('what would change the answer and can’t be done is refused', async (t) => {
  const text = 'x'
  for (const [body, about] of [
    [{ text, entities: ['PERSON', 'CREDIT_CARD'] }, /body\.entities\.1/],
    [{ text, language: 'tlh' }, /body\.language must be one of/],
    [{ text, language: null }, /body\.language/],
    [{ text: 5 }, /body\.text/],
    [{ text: [] }, /body\.text/],
    [{ text: [5] }, /body\.text/],
    [{}, /body\.text/],
    [{ text, score_threshold: 2 }, /body\.score_threshold/],
    [{ text, context: ['mail'] }, /body\.context/],
    [{ text, ad_hoc_recognizers: [{ name: 'zip' }] }, /body\.ad_hoc_recognizers/],
    [{ text, allow_list: ['a'], allow_list_match: 'regex' }, /body\.allow_list_match/],
    [{ text, threshold: 0.5 }, /body\.threshold/],
  ] as const)
    t.match(await refused(t, await post('/analyze', { ...MAIL, ...body }), 400), about)
})

t.test('the sentence names what is wrong, and nothing that isn’t', async (t) => {
  const text = 'x'
  const entities = 'PERSON, LOCATION, PHONE_NUMBER, EMAIL_ADDRESS'
  for (const [body, says] of [
    [{ text, language: 'en', entities: ['IBAN'] }, `body.entities.0 must be one of ${entities}`],
    [{ text, language: 'en', entities: 'IBAN' }, 'body.entities must be array or must be null'],
    [{ text, language: 'en', score_threshold: 2 }, 'body.score_threshold must be <= 1'],
    [{ text: [5], language: 'en' }, 'body.text.0 must be string'],
    [{ text }, 'body.language is missing'],
    [{ text, language: 'en', lang: 'de' }, 'body.lang is not known here'],
  ] as const)
    t.equal(await refused(t, await post('/analyze', body), 400), `The body is not valid. ${says}`)
})

t.test('every refusal of these addresses is in Presidio’s form', async (t) => {
  const body = { ...MAIL, text: 'x' }
  await refused(t, await post('/analyze', '{'), 400)
  await refused(t, await post('/analyze', { ...body, text: 'x'.repeat(10_001) }), 413)
  await refused(t, await post('/analyze', { ...body, text: Array<string>(65).fill('') }), 413)
  await refused(t, await post('/analyze', body, await token('writer')), 403)
  await refused(t, await request('/analyze', { token: undefined, method: 'POST' }), 401)
  await refused(t, await request('/recognizers', { token: undefined }), 401)
  const wrongMethod = await request('/analyze')
  t.equal(wrongMethod.headers.get('allow'), 'POST')
  await refused(t, wrongMethod, 405)
  const asText = { token: ADMIN, method: 'POST', body: 'x' }
  await refused(t, await request('/analyze', asText), 415)
})

t.test('entities and recognizers are lists of names', async (t) => {
  const asked = async (path: string): Promise<unknown> => (await request(path)).json()
  const entities = ['PERSON', 'LOCATION', 'PHONE_NUMBER', 'EMAIL_ADDRESS']
  t.strictSame(await asked('/supportedentities?language=de'), entities)
  t.strictSame(await asked('/supportedentities'), entities)
  t.strictSame(await asked('/recognizers?language=en'), ['SparseAutoencoderRecognizer'])
  await refused(t, await request('/supportedentities?language=tlh'), 400)
  await refused(t, await request('/recognizers?lang=en'), 400)
})

t.test('without a detector there are no lists, and no results', async (t) => {
  const { request } = await startServer(t)
  for (const path of ['/supportedentities', '/recognizers'])
    await refused(t, await request(path), 503)
  const answer = await request('/analyze', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...MAIL, text: 'a@example.org' }),
  })
  await refused(t, answer, 503)
})
