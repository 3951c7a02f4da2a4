import { globSync } from 'node:fs'
import process from 'node:process'
import t from 'tap'

const TIMEOUT_S = 180

// The command `tap` starts a file under module hooks (for mocks and coverage) that every thread of a server
// loads anew: a test that opens ledgers takes three times as long. `t.spawn` hands them on in NODE_OPTIONS.
const plain = ['-u', 'NODE_OPTIONS', process.execPath]
const named = process.argv.slice(2)

t.jobs = 2
// Each file has a limit of its own; all of them together have CI's.
t.setTimeout(0)
for (const file of named.length > 0 ? named : globSync('test/**/*.test.ts').sort())
  t.spawn('env', [...plain, file], {
    name: file,
    buffered: true,
    timeout: TIMEOUT_S * 1000,
    env: { ...process.env, TAP_TIMEOUT: String(TIMEOUT_S) },
  })

// The line that CI reads. A file that dies or never parses fails without failing an assertion.
t.on('complete', ({ fail: files }) => {
  const { pass, fail } = t.counts
  process.stdout.write(`\n${pass} passed, ${Math.max(fail, files)} failed\n`)
})
