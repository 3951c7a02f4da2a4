import t, { type Test } from 'tap'
import { addToken, BERT, openAt, publication, tamper } from './fixture.ts'

const words = { summary: 's', description: 'd' } as const

/** A ledger with acme/bert, a writer `t` and an admin `a`. */
async function started(t: Test, folder = t.testdir()) {
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  await addToken(ledger, 'a', { role: 'admin' })
  const actor = { tokenId: 'a', roles: ['admin'], address: undefined } as const
  await ledger.createCheckpoint({ ...actor, ...BERT })
  const { checkpoint } = await ledger.policies('acme', 'bert')
  const asked = {
    serials: { owner: undefined, checkpoint: checkpoint?.serial },
    finite: false,
    sameTensorsAs: undefined,
  }
  const revisionOf = async (ref: string) =>
    (await ledger.resolve('acme', 'bert', ref))?.version.revision ?? null
  const commit = async (version: string, parent: string | undefined, branch?: string) =>
    ledger.publish(
      publication(version, {
        asked,
        commit: {
          ...words,
          summary: `made ${version}`,
          branch,
          parent: parent === undefined ? null : await revisionOf(parent),
        },
      }),
    )
  const publish = (version: string) => ledger.publish(publication(version, { asked }))
  const branch = (tag: string, ref: string) =>
    ledger.moveTag({
      ...{ ...actor, ...BERT, tag, ref, kind: 'branch' },
      ...{ rolesIfProtected: ['admin'], isProtected: false, expected: null },
    })
  const history = async (ref: string, skip = 0, limit = 100) => {
    const id = (await ledger.resolve('acme', 'bert', ref))?.version.id ?? 0
    return (await ledger.history(id, { skip, limit })).map(({ version }) => version)
  }
  return { ledger, actor, commit, publish, branch, history, folder }
}

t.test('each version follows the one that it was built upon', async (t) => {
  const { ledger, commit, publish, branch, history, actor } = await started(t)
  await commit('r1', undefined)
  await publish('1.0')
  await commit('r3', '1.0')
  await branch('dev', 'latest')
  await commit('d1', 'r3', 'dev')
  await publish('2.0')
  await commit('d2', 'd1', 'dev')
  await commit('r7', '2.0')
  t.same(await history('latest'), ['r7', '2.0', 'r3', '1.0', 'r1'], 'past what is beside main')
  t.same(await history('dev'), ['d2', 'd1', 'r3', '1.0', 'r1'])
  t.same(await history('r1'), ['r1'])
  const id = (await ledger.resolve('acme', 'bert', '2.0'))?.version.id ?? 0
  t.match(await ledger.history(id, { skip: 0, limit: 2 }), [
    { version: '2.0', summary: 'Publish 2.0', description: '', createdBy: "t's name" },
    { version: 'r3', summary: 'made r3', description: 'd', revision: /^[0-9a-f]{64}$/ },
  ])
  await ledger.withdraw({ ...actor, ...BERT, version: 'r3', reason: 'bad' })
  t.same(await history('latest'), ['r7', '2.0', 'r3', '1.0', 'r1'], 'what is withdrawn was there')
})

t.test('a history comes in pages', async (t) => {
  const { publish, history } = await started(t)
  for (const version of ['1', '2', '3', '4', '5']) await publish(version)
  t.same(await history('latest', 0, 2), ['5', '4'])
  t.same(await history('latest', 2, 2), ['3', '2'])
  t.same(await history('latest', 4, 2), ['1'])
  t.same(await history('latest', 5, 2), [])
  t.same(await history('latest', 1_000_000, 1), [])
})

t.test('a long history beside others is found step by step, not by looking at all', async (t) => {
  const { ledger, folder, publish } = await started(t)
  await publish('first')
  await ledger.close()
  tamper(
    folder,
    `WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
     INSERT INTO versions (id, checkpoint, version, revision, state, metadata, warnings, size, tensors,
       parameters, created_at, created_by)
     SELECT i, 1, 'v' || i, randomblob(32), 'available', '{}', '[]', 1, 0, 0, '2026-01-01T00:00:00.000Z', 'x'
     FROM n`,
  )
  const again = await openAt(t, folder)
  t.equal((await again.history(5000, { skip: 4990, limit: 10 })).at(-1)?.version, 'first')
})
