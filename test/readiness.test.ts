import { pino } from 'pino'
import t from 'tap'
import { createReadiness, NotYet } from '../src/readiness.ts'

function readinessOf(run: () => Promise<unknown>) {
  const said: object[] = []
  const log = pino({}, { write: (line: string) => said.push(JSON.parse(line) as object) })
  return { failing: createReadiness([['vault', run]], log), said }
}

t.test('what fails is named each time, and logged once a change', async (t) => {
  let why: Error | undefined = new Error('gone')
  const { failing, said } = readinessOf(() => (why ? Promise.reject(why) : Promise.resolve()))
  t.strictSame(await failing(), ['vault'])
  t.strictSame(await failing(), ['vault'])
  why = new Error('full')
  await failing()
  why = undefined
  t.strictSame(await failing(), [])
  t.strictSame(await failing(), [])
  t.match(said, [
    { level: 40, check: 'vault', err: { message: 'gone', stack: String } },
    { level: 40, err: { message: 'full' } },
    { level: 30, msg: 'ready again' },
  ])
  t.equal(said.length, 3)
})

t.test('what isn’t ready yet is no failure in the log', async (t) => {
  const { failing, said } = readinessOf(() => Promise.reject(new NotYet('It is being loaded.')))
  t.strictSame(await failing(), ['vault'])
  t.match(said, [{ level: 30, check: 'vault', why: 'It is being loaded.', err: undefined }])
})
