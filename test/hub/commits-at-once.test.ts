import t from 'tap'
import { EMPTY_COMMIT } from '../../src/hub/revision.ts'
import { header, openRegistry, text } from './registry.ts'

t.test('of commits at the same time all land, each upon the one before', async (t) => {
  const { commit, filesAt, ledger } = await openRegistry(t)
  await commit([header(), text('a.json', '0')])
  const names = Array.from({ length: 40 }, (_, i) => `f${i}.json`)
  await Promise.all(names.map((name) => commit([header(undefined, name), text(name, '1')])))
  t.same(Object.keys(await filesAt('latest')), ['a.json', ...names].sort())
  const head = await ledger.resolve('acme', 'bert', 'latest')
  const history = await ledger.history(head?.version.id ?? 0, { skip: 0, limit: 100 })
  t.same(
    history.map(({ version }) => version),
    Array.from({ length: 41 }, (_, i) => `r${41 - i}`),
  )
})

t.test('of commits upon one parent exactly one lands', async (t) => {
  const { commit, ledger, filesAt } = await openRegistry(t)
  const { commit: parent } = await commit([header(EMPTY_COMMIT), text('a.json', '0')])
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => commit([header(parent), text(`f${i}.json`, '1')])),
  )
  const landed = outcomes.filter(({ status }) => status === 'fulfilled')
  t.equal(landed.length, 1)
  const head = await ledger.resolve('acme', 'bert', 'latest')
  for (const outcome of outcomes)
    if (outcome.status === 'rejected')
      t.match(outcome.reason, {
        code: 'PRECONDITION_FAILED',
        facts: { current: head?.version.revision.slice(0, 40) },
      })
  t.equal(Object.keys(await filesAt('latest')).length, 2)
})
