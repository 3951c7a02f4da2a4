import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { type Engine, LoadFailed, startEngine } from '../../../src/detect/engine/engine.ts'
import { RegistryError } from '../../../src/errors.ts'
import { tinyDetector } from '../fixture.ts'
import { ask, inPieces, places, SETTINGS, start, texts } from './fixture.ts'

const file = tinyDetector({ threshold: 0.1 })

async function failureOf(t: Test, bytes: Uint8Array, options = {}): Promise<string | undefined> {
  try {
    await start(t, bytes, {}, options)
    return undefined
  } catch (error) {
    return error instanceof LoadFailed ? error.failure : String(error)
  }
}

t.test('only a detector that finds exactly its golden texts’ spans is adopted', async (t) => {
  const text = 'Write to anna@example.org, or don’t.'
  const golden = (start: number) =>
    tinyDetector({
      threshold: 0.985,
      golden: [{ text, spans: [{ category: 'email', start, end: 25 }] }],
    })
  const { engine } = await start(t, golden(9))
  t.strictSame((await ask(engine, texts(text))).map(places), [[['email', 9, 25]]])
  t.equal(await failureOf(t, golden(10)), 'golden')
})

t.test(
  'what is no detector, or not the detector that the ledger knows, is not loaded',
  async (t) => {
    t.equal(await failureOf(t, Buffer.from('no such thing')), 'refused')
    t.equal(await failureOf(t, file, { sha256: '0'.repeat(64) }), 'damaged')
    t.equal(await failureOf(t, file, { bytes: inPieces(file.subarray(1)) }), 'damaged')
    t.equal(await failureOf(t, file, { bytes: inPieces(Buffer.concat([file, file])) }), 'damaged')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield file.subarray(0, 1000)
      throw new RegistryError('INTEGRITY_FAILURE', 'damaged')
    }
    t.match(await failureOf(t, file, { bytes: broken() }), /damaged/)
  },
)

/** Begins a load whose bytes never end. */
function loadForever(signal: AbortSignal, onFirst: () => void = () => undefined): Promise<Engine> {
  async function* never(): AsyncGenerator<Uint8Array> {
    yield file.subarray(0, 1000)
    onFirst()
    await new Promise(() => undefined)
  }
  const options = { settings: SETTINGS, sizeBytes: file.length, sha256: '', silenceMs: 60_000 }
  const nothing = (): undefined => undefined
  return startEngine({ ...options, bytes: never(), onRun: nothing, onFault: nothing }, signal)
}

t.test('a load that is no longer wanted ends its process', async (t) => {
  const caller = new AbortController()
  const loading = loadForever(caller.signal, () => {
    caller.abort(new Error('enough'))
  })
  await t.rejects(loading, { message: 'enough' })
})

// A server that was stopped just then died of a rejection that nobody handled.
t.test(
  'a load that was given up before it began fails once, and for its caller alone',
  async (t) => {
    await t.rejects(loadForever(AbortSignal.abort(new Error('enough'))), { message: 'enough' })
  },
)

t.test('its process sees nothing of the server’s settings', async (t) => {
  process.env['STRONGROOM_ADMIN_TOKEN'] = 'sr_secret'
  t.teardown(() => delete process.env['STRONGROOM_ADMIN_TOKEN'])
  const { engine } = await start(t, file)
  t.notMatch(await environmentOf(engine), /sr_secret/)
})

async function environmentOf({ pid }: Engine): Promise<string> {
  return readFile(`/proc/${pid ?? 0}/environ`, 'utf8').catch(() => '')
}
