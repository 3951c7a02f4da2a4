import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { createRandom } from '../detect/random.ts'
import { ADMIN } from '../helpers/server.ts'
import { startDetecting } from './detecting.ts'
import { type Json, jsonOf, problem } from './wire.ts'

t.setTimeout(120_000)

// It has no host, and so reads activations only.
const { request, post, token } = await startDetecting(t, {}, { tokenizer: 'none', threshold: 0 })

const TOKENS = 40
const WIDTH = 32
const { normal } = createRandom(7)
const VALUES = Float32Array.from({ length: TOKENS * WIDTH }, () => 2 * normal())

type Tensor = Parameters<typeof writeSafetensors>[0][number]

const activationsOf = (
  values: ArrayBufferView,
  dtype = 'F32',
  shape = [TOKENS, WIDTH],
): Tensor => ({
  name: 'activations',
  dtype,
  shape,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
})
const offsetsOf = (values: ArrayBufferView, dtype = 'I64', shape = [TOKENS, 2]): Tensor => ({
  ...activationsOf(values, dtype, shape),
  name: 'offsets',
})
const ACTIVATIONS = activationsOf(VALUES)
const PLACES = Array.from({ length: TOKENS }, (_, i) => [i * 3, i * 3 + 2]).flat()

const send = (body: Uint8Array<ArrayBuffer>, query = '', bearer = ADMIN): Promise<Response> =>
  request(`/detect/activations${query}`, { token: bearer, method: 'POST', body })
const sendAll = (tensors: readonly Tensor[], query?: string) =>
  send(writeSafetensors(tensors), query)
const ANY = '?confidence_threshold=0'

interface Answer {
  readonly pii_spans: readonly (Json & { start: number; end: number; category: string })[]
}
const spansOf = async (tensors: readonly Tensor[], query = ANY): Promise<Answer['pii_spans']> =>
  ((await (await sendAll(tensors, query)).json()) as Answer).pii_spans

t.test('activations are answered as a text is, by numbers of tokens', async (t) => {
  const response = await sendAll([ACTIVATIONS], ANY)
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  const answer = await jsonOf(response)
  t.match(answer, {
    has_pii: true,
    offset_encoding: 'token',
    language: 'und',
    model_version: 'acme/tiny@1.0',
  })
  for (const { start, end } of answer['pii_spans'] as Answer['pii_spans'])
    t.ok(start < end && end <= TOKENS)
})

t.test('with offsets, spans are where the caller’s tokens are', async (t) => {
  const tokens = await spansOf([ACTIVATIONS])
  for (const offsets of [
    offsetsOf(BigInt64Array.from(PLACES, BigInt)),
    offsetsOf(BigUint64Array.from(PLACES, BigInt), 'U64'),
    offsetsOf(Int32Array.from(PLACES), 'I32'),
    offsetsOf(Uint32Array.from(PLACES), 'U32'),
  ]) {
    t.match(await jsonOf(await sendAll([offsets, ACTIVATIONS])), { offset_encoding: 'as_sent' })
    t.strictSame(
      (await spansOf([offsets, ACTIVATIONS])).map(({ start, end }) => [start, end]),
      tokens.map(({ start, end }) => [start * 3, (end - 1) * 3 + 2]),
    )
  }
})

t.test('values of 16 bits are taken too', async (t) => {
  const rounded = Float16Array.from(VALUES)
  const upper = Uint16Array.from(new Uint32Array(VALUES.buffer), (bits) => bits >>> 16)
  const asFloat = Float32Array.from(
    new Float32Array(Uint32Array.from(upper, (b) => b << 16).buffer),
  )
  t.strictSame(
    await spansOf([activationsOf(rounded, 'F16')]),
    await spansOf([activationsOf(Float32Array.from(rounded))]),
  )
  t.strictSame(
    await spansOf([activationsOf(upper, 'BF16')]),
    await spansOf([activationsOf(asFloat)]),
  )
})

t.test('the query says what is told', async (t) => {
  const all = await spansOf([ACTIVATIONS])
  const few = await spansOf([ACTIVATIONS], `${ANY}&categories=email&categories=phone`)
  t.strictSame(
    few,
    all.filter(({ category }) => ['email', 'phone'].includes(category)),
  )
  const explained = await spansOf([ACTIVATIONS], `${ANY}&explain=1`)
  t.ok(explained.some(({ latents }) => (latents as readonly Json[]).length > 0))
  for (const query of ['?confidence_threshold=2', '?categories=iban', '?explain=yes', '?text=x'])
    await problem(t, await sendAll([ACTIVATIONS], query), 400, 'INVALID_REQUEST')
})

t.test('no tokens are nothing found', async (t) => {
  t.strictSame(await spansOf([activationsOf(new Float32Array(0), 'F32', [0, WIDTH])]), [])
})

t.test('what isn’t activations of that model is refused', async (t) => {
  const withValue = (value: number) => activationsOf(VALUES.with(5, value))
  const offsets = (values: number[], dtype = 'I32', shape?: number[]) =>
    offsetsOf(dtype === 'I32' ? Int32Array.from(values) : Float32Array.from(values), dtype, shape)
  for (const [tensors, field] of [
    [[], 'body.activations'],
    [[offsets(PLACES)], 'body.activations'],
    [[{ ...ACTIVATIONS, name: 'acts' }], 'body'],
    [[activationsOf(VALUES, 'F32', [TOKENS * 2, WIDTH / 2])], 'body.activations'],
    [[activationsOf(VALUES, 'F32', [TOKENS * WIDTH])], 'body.activations'],
    [[activationsOf(VALUES, 'F32', [1, TOKENS, WIDTH])], 'body.activations'],
    [[activationsOf(new Float32Array(0), 'F32', [2 ** 40, 0])], 'body.activations'],
    [[activationsOf(Float64Array.from(VALUES), 'F64')], 'body.activations'],
    [[activationsOf(Int32Array.from(VALUES), 'I32')], 'body.activations'],
    [[withValue(NaN)], 'body.activations'],
    [[withValue(-Infinity)], 'body.activations'],
    [[ACTIVATIONS, offsets(PLACES, 'F32')], 'body.offsets'],
    [[ACTIVATIONS, offsets(PLACES, 'I32', [2, TOKENS])], 'body.offsets'],
    [[ACTIVATIONS, offsets(PLACES.slice(2), 'I32', [TOKENS - 1, 2])], 'body.offsets'],
    [[ACTIVATIONS, offsets(PLACES.with(0, -1))], 'body.offsets'],
    [[ACTIVATIONS, offsets(PLACES.with(1, -1))], 'body.offsets'],
    [[ACTIVATIONS, offsets(PLACES.with(2, 9))], 'body.offsets'],
  ] as const)
    await problem(t, await sendAll(tensors, ANY), 400, 'INVALID_REQUEST', { errors: [{ field }] })
})

t.test('the row of offsets that is wrong is named', async (t) => {
  const refused = async (values: number[]): Promise<unknown> => {
    const offsets = offsetsOf(Int32Array.from(values), 'I32')
    const answer = await jsonOf(await sendAll([ACTIVATIONS, offsets], ANY))
    return (answer['errors'] as readonly Json[])[0]?.['detail']
  }
  t.match(await refused(PLACES.with(2, 9)), /row 1$/, 'an end before its begin')
  t.match(await refused(PLACES.toReversed().map((_, i) => 200 - i)), /row 0$/)
  t.match(await refused(PLACES.with(10, 11)), /descend, as row 5 /, 'a begin before the last one')
  t.match(await refused(PLACES.with(9, 90)), /descend, as row 5 /, 'an end before the last one')
  const shared = offsetsOf(Int32Array.from(PLACES.with(10, 12).with(11, 14)), 'I32')
  t.equal((await sendAll([ACTIVATIONS, shared], ANY)).status, 200, 'one place of two tokens')
})

t.test('what isn’t safetensors is refused with its reason', async (t) => {
  const whole = writeSafetensors([ACTIVATIONS])
  const third = { ...ACTIVATIONS, name: 'third' }
  for (const [body, reason] of [
    [Buffer.from('PK\u0003\u0004 and more of that'), 'not_safetensors'],
    [whole.slice(0, -1), 'truncated'],
    [writeSafetensors([ACTIVATIONS, { ...ACTIVATIONS, name: 'b' }, third]), 'too_many_tensors'],
    [writeSafetensors([ACTIVATIONS], { note: 'x'.repeat(65_536) }), 'header_too_large'],
  ] as const)
    await problem(t, await send(Buffer.from(body)), 422, 'INVALID_SAFETENSORS', { reason })
  await problem(t, await send(new Uint8Array(0)), 422, 'INVALID_SAFETENSORS')
  const large = new Uint8Array(8 * 1024 * 1024 + 1)
  await problem(t, await send(large), 413, 'TOO_LARGE', { limit: 8 * 1024 * 1024 })
})

t.test('detectors and admins may ask, and a detector of activations reads no text', async (t) => {
  const file = writeSafetensors([ACTIVATIONS])
  t.equal((await send(file, '', await token('detector'))).status, 200)
  await problem(t, await send(file, '', await token('reader')), 403, 'FORBIDDEN')
  const why = { why: 'reads_activations_only' }
  await problem(t, await post('/detect', { text: 'x' }), 503, 'DETECTOR_UNAVAILABLE', why)
})
