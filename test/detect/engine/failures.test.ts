import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { tinyDetector } from '../fixture.ts'
import { ask, codeOf, start, text, texts } from './fixture.ts'

const file = tinyDetector({ threshold: 0.1 })

t.test('killed in mid-request, its callers are told so, every one', async (t) => {
  const { engine } = await start(t, file)
  process.kill(engine.pid ?? 0, 'SIGSTOP')
  const waiting = Array.from({ length: 50 }, (_, n) => codeOf(ask(engine, texts(text(n + 10)))))
  process.kill(engine.pid ?? 0, 'SIGKILL')
  t.strictSame(new Set(await Promise.all(waiting)), new Set(['DETECTOR_UNAVAILABLE']))
  t.match(await engine.ended, /SIGKILL/)
  t.equal(await codeOf(ask(engine, texts('late'))), 'DETECTOR_UNAVAILABLE', 'and who comes after')
})

t.test('a process that stops answering is killed', async (t) => {
  const { engine } = await start(t, file, {}, { silenceMs: 400 })
  process.kill(engine.pid ?? 0, 'SIGSTOP')
  t.equal(await codeOf(ask(engine, texts('Anna'))), 'DETECTOR_UNAVAILABLE')
  t.match(await engine.ended, /SIGKILL/)
})

t.test('retired, it finishes what it has and goes', async (t) => {
  const { engine } = await start(t, file)
  const answers = Promise.all([1, 2, 3].map((n) => ask(engine, texts(text(n)))))
  await engine.retire()
  t.equal((await answers).length, 3)
  t.match(await engine.ended, /code 0/)
})

t.test('a server that is killed takes the process along', async (t) => {
  const server = spawn(process.execPath, [
    '--input-type=module-typescript',
    '--eval',
    `const { startProcess } = await import(${JSON.stringify(new URL('../../../src/detect/engine/child-process.ts', import.meta.url))})
     const child = startProcess(() => console.log(child.pid))
     child.send({ kind: 'ask' })`,
  ])
  t.teardown(() => server.kill('SIGKILL'))
  const [told] = (await once(server.stdout, 'data')) as [Buffer]
  const pid = Number(told.toString())
  t.ok(isAlive(pid))
  server.kill('SIGKILL')
  while (isAlive(pid)) await setTimeout(20)
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
