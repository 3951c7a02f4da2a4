import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { answerInFrames } from '../../../routes/hub/shard-frames.ts'
import { RegistryError } from '../../../src/errors.ts'

type Work = Parameters<typeof answerInFrames>[2]

/** Asks a server that does just this work for its answer, frame by frame. */
async function ask(t: Test, work: Work): Promise<{ status: number; body: AsyncIterable<string> }> {
  const app = Fastify()
  t.teardown(() => app.close())
  app.post('/', (request, reply) => answerInFrames(request, reply, work, 1))
  const url = await app.listen({ port: 0 })
  const { status, body } = await fetch(url, { method: 'POST' })
  if (body === null) throw new Error('there is no body')
  return { status, body: body.pipeThrough(new TextDecoderStream()) }
}

async function rest(body: AsyncIterable<string>): Promise<readonly unknown[]> {
  let text = ''
  for await (const piece of body) text += piece
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
}

t.test('work that takes long tells how far it is, and how it ended', async (t) => {
  const failed = new RegistryError('INVALID_SAFETENSORS', 'two tensors overlap')
  for (const [end, last] of [
    [(): void => undefined, { type: 'result' }],
    [
      () => Promise.reject(failed),
      { type: 'error', message: 'Refused by the registry: two tensors overlap', retryable: false },
    ],
    [
      () => Promise.reject(new Error('a secret')),
      { type: 'error', message: /^Refused by the registry: Something went wrong/ },
    ],
  ] as const) {
    const { promise: seen, resolve: see } = Promise.withResolvers<undefined>()
    const { status, body } = await ask(t, async (tell) => {
      tell({ verified: 3, total: 7 })
      await seen
      await end()
    })
    t.equal(status, 200, 'which is known before the work is done')
    see(undefined)
    const frames = await rest(body)
    t.match(frames[0], { type: 'validating', verified: 3, total: 7 })
    t.match(frames.at(-1), last)
  }
})

t.test('work that is done at once answers in one frame', async (t) => {
  const { body } = await ask(t, () => Promise.resolve())
  t.same(await rest(body), [{ type: 'result' }])
})
