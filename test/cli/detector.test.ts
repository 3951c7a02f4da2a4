import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { openDetector } from '../../src/detect/open-detector.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { tinyDetector } from '../detect/fixture.ts'
import { type Dtype, bytesOf, writeIdentity } from '../detect/formats/families.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf } from '../routes/wire.ts'
import { run } from './fixture.ts'

const FIXTURES = new URL('../fixtures/classifiers/', import.meta.url).pathname
const fixture = (name: string): string => join(FIXTURES, `${name}.safetensors`)
const WIDTH = 6
const folder = t.testdir({ sae: {}, 'tiny.safetensors': Buffer.from(tinyDetector({ width: WIDTH, heads: 2 })) }) // prettier-ignore
const sae = writeIdentity(join(folder, 'sae'), WIDTH)
const made = join(folder, 'detector.safetensors')

t.test('an SAE and classifiers become a detector', async (t) => {
  const args = ['detector', 'import', sae, '--classifiers', fixture('random-forest'), fixture('logistic-binary'), '-o', made] // prettier-ignore
  const asked = [...args, '--threshold', '0.3', '--threshold', 'phone=0.6', '--language', 'en', '--description', 'Mine'] // prettier-ignore
  const { code, stdout, stderr } = await run([...asked, '--json'])
  t.strictSame([code, stderr], [0, ''])
  t.match(JSON.parse(stdout), { file: made, description: 'Mine', languages: ['en'], reads_text: false, sae: { architecture: 'relu', dModel: WIDTH } }) // prettier-ignore
  const { settings } = openDetector(readFileSync(made))
  t.match(settings.decoding.categories, { personal_name: { threshold: 0.3 }, phone: { threshold: 0.6 }, email: { threshold: 0.3 } }) // prettier-ignore
  t.match(settings.scores, { imported: { family: 'saelens', input_scale: 1 } })

  const shown = await run(['detector', 'inspect', made])
  t.equal(shown.code, 0)
  t.match(shown.stdout, /is a detector\n.*Mine/)
  t.match(shown.stdout, /trees, identity: none, personal_name, phone/)
})

t.test('an SAE of a host’s layer reads text with it', async (t) => {
  const output = join(folder, 'with-host.safetensors')
  const args = ['detector', 'import', sae, '--classifiers', fixture('logistic'), '-o', output]
  t.strictSame((await run([...args, '--host', join(folder, 'tiny.safetensors')])).code, 0)
  t.match(openDetector(readFileSync(output)).settings.text, { host: { width: WIDTH } })
})

t.test('what can’t be meant is wrong use, and what is no SAE is refused', async (t) => {
  const args = ['detector', 'import', sae, '--classifiers', fixture('logistic'), '-o', join(folder, 'no')] // prettier-ignore
  for (const wrong of [
    ['--threshold', 'iban=0.5'],
    ['--label', 'none'],
    ['--label', 'none=nothing'],
    ['--label', 'X=none'],
    ['--threshold', 'address=0.9'],
    ['--k', '64'],
  ])
    t.equal((await run([...args, ...wrong])).code, 2, wrong.join(' '))
  const refused = await run(['detector', 'inspect', fixture('logistic'), '--json'])
  t.equal(refused.code, 1)
  t.match(JSON.parse(refused.stderr), { code: 'DETECTOR_REFUSED', where: 'file' })
  const absent = await run(['detector', 'import', join(folder, 'nowhere'), ...args.slice(3)])
  t.match(absent, { code: 2, stderr: /nowhere: there is no such file/ })
})

const classifierOf = (classes: readonly string[]): Uint8Array => {
  const settings = { format: 1, kind: 'logistic', link: 'softmax', classes, columns: WIDTH }
  const values = new Float64Array(classes.length * WIDTH).fill(1)
  const tensor = (name: string, shape: readonly number[]) =>
    ({ name, dtype: 'F32', shape, bytes: bytesOf({ shape, values: values.subarray(0, shape.reduce((a, b) => a * b)), dtype: 'F32' }) }) as const // prettier-ignore
  return writeSafetensors(
    [tensor('weight', [classes.length, WIDTH]), tensor('bias', [classes.length])],
    { 'strongroom.classifier': JSON.stringify(settings) },
  )
}

t.test('a class without a label is named, with the option that gives it one', async (t) => {
  const path = join(folder, 'mine.safetensors')
  writeFileSync(path, classifierOf(['O', 'PER']))
  const args = ['detector', 'import', sae, '--classifiers', path, '-o', join(folder, 'mine')]
  const refused = await run([...args, '--label', 'PER=personal_name'])
  t.match(refused, { code: 2, stderr: /: class O has no label: --label O=none/ })
  const labels = ['--label', 'PER=personal_name', '--label', 'O=none']
  t.match(await run([...args, ...labels]), { code: 0, stdout: /golden +no texts/ })
})

t.test('a message keeps the names of files and members as they are', async (t) => {
  const path = join(folder, 'nan.safetensors')
  const settings = '{"say \\"NaN": "NaN", "threshold": NaN}'
  writeFileSync(path, writeSafetensors([], { 'strongroom.detector': settings }))
  const refused = await run(['detector', 'inspect', path])
  t.equal(refused.code, 1)
  t.match(refused.stderr, new RegExp(`: settings: NaN .* at character ${settings.lastIndexOf('NaN') + 1},`)) // prettier-ignore
  const none = await run(['detector', 'import', sae, '--classifiers', 'nan.safetensors', '-o', 'x'], {}, folder) // prettier-ignore
  t.match(none, { code: 1, stderr: /: nan\.safetensors: file: has no/ })
})

t.test('golden texts are said to be checked by the server only', async (t) => {
  const path = join(folder, 'golden.safetensors')
  const golden = [{ text: 'x', spans: [{ category: 'phone', start: 0, end: 1 }] }]
  writeFileSync(path, tinyDetector({ golden }))
  const shown = await run(['detector', 'inspect', path])
  t.match(shown, { code: 0, stdout: /golden +1 text, checked by the server only/ })
  t.match(await run(['detector', 'inspect', '--help']), { stdout: /Only a server checks them/ })
})

const activations = (
  values: readonly (readonly number[])[],
  dtype: Dtype = 'F32',
  offsets?: readonly number[],
): Uint8Array =>
  writeSafetensors([
    ...(offsets === undefined ? [] : [{ name: 'offsets', dtype: 'I64', shape: [offsets.length / 2, 2], bytes: new Uint8Array(BigInt64Array.from(offsets, BigInt).buffer) }]), // prettier-ignore
    { name: 'activations', dtype, shape: [values.length, values[0]?.length ?? 0], bytes: bytesOf({ shape: [], values: Float64Array.from(values.flat()), dtype }) }, // prettier-ignore
  ])

/** Of the classifier, clearly: nothing, a name, a name, a phone, nothing. */
const NOTHING = [0, 0, 0, 0, 0, 0]
const NAME = [2, 4, 0, 0, 0, 0]
const PHONE = [0, 0, 0, 4, 2, 2]
const TOKENS = [NOTHING, NAME, NAME, PHONE, NOTHING]
const FOUND = [['personal_name', 1, 3], ['phone', 3, 4]] // prettier-ignore

t.test('a server serves it on activations, and says that it reads no text', async (t) => {
  await run(['detector', 'import', sae, '--classifiers', fixture('logistic'), '-o', made])
  const { put, request } = await startServer(t, { STRONGROOM_DETECTOR: 'acme/sae@1' })
  t.equal((await put('acme/sae/1', readFileSync(made))).status, 201)
  const ask = (body: Uint8Array, query = ''): Promise<Response> =>
    request(`/detect/activations?confidence_threshold=0.5${query}`, { token: ADMIN, method: 'POST', body: Buffer.from(body), headers: { 'content-type': 'application/octet-stream' } }) // prettier-ignore
  const spansIn = async (response: Response): Promise<unknown> => {
    t.equal(response.status, 200)
    const { pii_spans: spans } = (await jsonOf(response)) as { pii_spans: { category: string; start: number; end: number }[] } // prettier-ignore
    return spans.map(({ category, start, end }) => [category, start, end])
  }
  let version: unknown
  while (version !== '1') {
    await setTimeout(50)
    const { items } = (await jsonOf(await request('/detect/models', { token: ADMIN }))) as { items: { version: unknown }[] } // prettier-ignore
    version = items[0]?.version
  }

  for (const dtype of ['F32', 'F16', 'BF16'] as const)
    t.strictSame(await spansIn(await ask(activations(TOKENS, dtype))), FOUND, dtype)
  const offsets = [0, 2, 3, 8, 8, 12, 20, 30, 31, 31]
  t.strictSame(await spansIn(await ask(activations(TOKENS, 'F32', offsets))), [['personal_name', 3, 12], ['phone', 20, 30]]) // prettier-ignore
  const explained = await jsonOf(await ask(activations(TOKENS), '&explain=1'))
  t.match(explained, { pii_spans: [{ latents: [{ latent: 1, activation: 4 }] }] })

  for (const [what, body] of [
    ['another width', activations([[1, 2, 3]])],
    ['NaN', activations([[...NAME.slice(1), NaN]])],
    ['infinity', activations([[...NAME.slice(1), Infinity]], 'F16')],
    ['F64', activations(TOKENS, 'F64')],
  ] as const) {
    const response = await ask(body)
    t.equal(response.status, 400, what)
    t.match(await jsonOf(response), { code: 'INVALID_REQUEST', errors: [{ field: 'body.activations' }] }, what) // prettier-ignore
  }
  t.equal((await ask(Buffer.from('no safetensors'))).status, 422)
  const text = await request('/detect', { token: ADMIN, method: 'POST', body: '{"text":"Jane Doe"}', headers: { 'content-type': 'application/json' } }) // prettier-ignore
  t.equal(text.status, 503)
  t.match(await jsonOf(text), { code: 'DETECTOR_UNAVAILABLE' })
})
