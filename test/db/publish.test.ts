import t from 'tap'
import {
  addToken,
  BERT,
  columnsOf,
  file,
  openAt,
  publication,
  tamper,
  type TensorSpec,
} from './fixture.ts'

const query = { after: 0, limit: 100 }

t.test('a publication is there, whole, as soon as its promise resolves', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const tensors: TensorSpec[] = [
    { name: 'b', shape: [] },
    { name: 'a', shape: [4, 5] },
  ]
  const one = file('one', { path: 'a.safetensors', tensors })
  const files = [one, file('two', { path: 'b' })]
  const { vaultId } = one.blob
  const published = publication('1.0', { files, metadata: { epoch: '3' }, warnings: ['odd'] })

  t.same(await ledger.publish(published), { outcome: 'created', retired: [] })

  const found = await ledger.resolve('acme', 'bert', '1.0')
  t.match(found, {
    via: 'version',
    version: {
      owner: 'acme',
      name: 'bert',
      version: '1.0',
      revision: published.revision,
      state: 'available',
      createdBy: "t's name",
      metadata: { epoch: '3' },
      warnings: ['odd'],
      size: 20,
      tensors: 2,
      parameters: 12,
      tags: ['latest'],
    },
  })
  const stored = await ledger.filesOf(found?.version.id ?? 0)
  t.match(stored, [
    {
      path: 'a.safetensors',
      tensors: 2,
      metadata: { content: 'one' },
      blob: { sha256: one.sha256, size: 10, chunkSize: 4, state: 'sealed', vaultId },
    },
    { path: 'b', tensors: 0 },
  ])
  t.match(await ledger.tensorsOf({ versionId: found?.version.id ?? 0, limit: 10 }), [
    { name: 'a', path: 'a.safetensors', dtype: 'F32', shape: [4, 5], begin: 24, end: 48 },
    { name: 'b', shape: [], begin: 0, end: 24 },
  ])
  t.ok(await ledger.hasVaultId(vaultId))
  t.match((await ledger.audit({ ...query, action: 'publish' }))[0], {
    actorId: 't',
    actorName: "t's name",
    address: '192.0.2.1',
    subject: 'acme/bert@1.0',
    revision: published.revision,
    outcome: 'ok',
    details: { files: 2, size: 20 },
  })
})

t.test('whoever may not publish is refused, and nothing of it stays', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'reader', { role: 'reader' })
  await addToken(ledger, 'elsewhere', { scope: 'acme/bart' })
  await addToken(ledger, 'expired', { expiresAt: '2020-01-01T00:00:00Z' })
  await addToken(ledger, 'odd expiry', { expiresAt: 'tomorrow' })
  await addToken(ledger, 'revoked')
  await ledger.revokeToken('revoked', { action: 'token.revoke', outcome: 'ok' })
  const table = [
    ['nobody', 'unauthenticated'],
    ['expired', 'unauthenticated'],
    ['odd expiry', 'unauthenticated'],
    ['revoked', 'unauthenticated'],
    ['reader', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const
  for (const [tokenId, outcome] of table)
    t.same(await ledger.publish(publication('1', { tokenId })), { outcome }, tokenId)
  t.equal(await ledger.checkpoint('acme', 'bert'), undefined)
  t.same(await ledger.audit({ ...query, action: 'publish' }), [])
})

t.test(
  'a scope covers names in any case, and a token that has yet to expire publishes',
  async (t) => {
    const ledger = await openAt(t, t.testdir())
    await addToken(ledger, 't', { scope: 'acme/be*', expiresAt: '2999-01-01T00:00:00Z' })
    t.match(await ledger.publish(publication('1', { owner: 'ACME', name: 'Bert' })), {
      outcome: 'created',
    })
  },
)

t.test('a name spelled in another case is answered with the spelling that stands', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  await ledger.publish(publication('1', { owner: 'Acme' }))
  t.same(await ledger.publish(publication('2', { name: 'BERT' })), {
    outcome: 'spelled_differently',
    owner: 'Acme',
    name: 'bert',
  })
  t.match(await ledger.resolve('ACME', 'berT', '1'), { version: { owner: 'Acme', name: 'bert' } })
})

t.test('no version takes the name of a tag', async (t) => {
  const folder = t.testdir()
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  t.same(await ledger.publish(publication('latest')), { outcome: 'tag_exists' })
  await ledger.publish(publication('1'))
  tamper(folder, "INSERT INTO tags SELECT id, 'stable', 1, created_at, 'tag' FROM checkpoints")
  t.same(await ledger.publish(publication('stable')), { outcome: 'tag_exists' })
  t.match(await ledger.resolve('acme', 'bert', 'stable'), {
    via: 'tag',
    version: { version: '1', tags: ['latest', 'stable'] },
  })
})

t.test(
  'a version is immutable: the same again is the same, anything else is refused',
  async (t) => {
    const folder = t.testdir()
    const ledger = await openAt(t, folder)
    await addToken(ledger)
    const first = file('one')
    const { revision } = publication('1', { files: [first] })
    await ledger.publish(publication('1', { files: [first] }))
    const head = await ledger.auditHead()

    const again = file('one')
    t.same(await ledger.publish(publication('1', { files: [again] })), {
      outcome: 'same',
      retired: [first.blob.vaultId],
    })
    t.notOk(await ledger.hasVaultId(first.blob.vaultId))
    t.ok(await ledger.hasVaultId(again.blob.vaultId))
    t.same(await ledger.publish(publication('1', { files: [file('two')] })), {
      outcome: 'exists',
      revision,
    })
    t.same(await ledger.auditHead(), head, 'neither of them enters anything')

    tamper(folder, "UPDATE versions SET state = 'withdrawn', withdrawn_reason = 'leaked'")
    t.same(await ledger.publish(publication('1', { files: [file('one')] })), {
      outcome: 'withdrawn',
      reason: 'leaked',
    })
  },
)

t.test('of two publications of one version at once exactly one creates it', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const outcomes = await Promise.all(
    ['a', 'b', 'c'].map((text) => ledger.publish(publication('1', { files: [file(text)] }))),
  )
  t.same(outcomes.map(({ outcome }) => outcome).sort(), ['created', 'exists', 'exists'])
  t.equal((await ledger.audit({ ...query, action: 'publish' })).length, 1)
})

t.test('latest is the last version admitted', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  for (const version of ['2.0', '1.0']) await ledger.publish(publication(version))
  await ledger.publish(publication('2.0'))
  t.match(await ledger.resolve('acme', 'bert', 'latest'), {
    via: 'tag',
    version: { version: '1.0' },
  })
  t.match(await ledger.checkpoint('acme', 'bert'), {
    versions: [{ version: '2.0' }, { version: '1.0' }],
    tags: { latest: '1.0' },
  })
})

t.test('bytes are stored once: the newest proven copy stands for them', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const tensors = [{ name: 'w' }]
  const old = file('shared', { tensors, chunkSize: 2 })
  const oldId = old.blob.vaultId
  await ledger.publish(publication('1', { files: [old] }))
  const fresh = file('shared', { tensors, chunkSize: 5 })
  const leaves = Buffer.from(fresh.blob.leaves)
  t.same(await ledger.publish(publication('2', { files: [fresh] })), {
    outcome: 'created',
    retired: [oldId],
  })
  for (const version of ['1', '2']) {
    const id = (await ledger.resolve('acme', 'bert', version))?.version.id ?? 0
    const [{ blob } = { blob: undefined }] = await ledger.filesOf(id)
    t.match(blob, { chunkSize: 5, vaultId: fresh.blob.vaultId })
    t.same(await ledger.leafPage(blob?.id ?? 0, 0), leaves)
    t.equal((await ledger.tensorsOf({ versionId: id, limit: 9 })).length, 1)
  }
})

t.test('a copy that was proven again just now stays, and the new one goes', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const standing = file('shared', { chunkSize: 2 })
  const { vaultId } = standing.blob
  await ledger.publish(publication('1', { files: [standing] }))
  const again = (version: string, proven: string) => {
    const fresh = file('shared', { chunkSize: 5 })
    const files = [{ ...fresh, blob: { ...fresh.blob, standing: proven } }]
    return { id: fresh.blob.vaultId, outcome: ledger.publish(publication(version, { files })) }
  }
  const same = again('2', vaultId)
  t.same(await same.outcome, { outcome: 'created', retired: [same.id] })
  t.match(await ledger.blobOf(standing.sha256), { vaultId, chunkSize: 2, state: 'sealed' })
  await ledger.quarantine(vaultId, { action: 'integrity_failure', outcome: 'INTEGRITY_FAILURE' })
  const repair = again('3', vaultId)
  t.same(await repair.outcome, { outcome: 'created', retired: [vaultId] }, 'unless it is damaged')
  const other = again('4', vaultId)
  t.same(await other.outcome, { outcome: 'created', retired: [repair.id] }, 'or stands no more')
})

t.test('two files of the same bytes in one publication share one copy', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const [a, b] = [file('x', { path: 'a' }), file('x', { path: 'b' })]
  const named = { path: 'c', sha256: a.sha256, size: a.size, blob: undefined }
  const aId = a.blob.vaultId
  t.same(await ledger.publish(publication('1', { files: [a, b, named] })), {
    outcome: 'created',
    retired: [aId],
  })
  const id = (await ledger.resolve('acme', 'bert', '1'))?.version.id ?? 0
  const files = await ledger.filesOf(id)
  t.same(
    files.map(({ path }) => path),
    ['a', 'b', 'c'],
  )
  t.equal(new Set(files.map(({ blob }) => blob.id)).size, 1)
})

t.test('publishing the bytes of a quarantined blob again repairs it and says so', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const first = file('one')
  const vaultId = first.blob.vaultId
  await ledger.publish(publication('1', { files: [first] }))
  const note = { action: 'integrity_failure', outcome: 'INTEGRITY_FAILURE' }
  t.equal(await ledger.quarantine(vaultId, note), true)
  t.equal(await ledger.quarantine(vaultId, note), false, 'once')
  t.equal((await ledger.audit({ ...query, action: 'integrity_failure' })).length, 1)
  t.equal(await ledger.blobHeldBy('t', first.sha256, BERT), undefined, 'nobody holds damaged bytes')

  t.same(await ledger.publish(publication('1', { files: [file('one')] })), {
    outcome: 'same',
    retired: [vaultId],
  })
  t.match(await ledger.blobHeldBy('t', first.sha256, BERT), { blob: { state: 'sealed' } })
  t.equal(await ledger.quarantine(vaultId, note), false, 'a copy that was replaced')
  t.match(await ledger.audit({ ...query, action: 'repair' }), [
    { subject: 'acme/bert@1', details: { sha256: first.sha256 } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('bytes can be named only by who may read them', async (t) => {
  const folder = t.testdir()
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  await addToken(ledger, 'outsider', { scope: 'other/*' })
  await addToken(ledger, 'insider', { scope: 'acme/*' })
  await addToken(ledger, 'auditor', { role: 'auditor' })
  const bytes = file('one')
  await ledger.publish(publication('1', { files: [bytes] }))
  const files = [{ path: 'm', sha256: bytes.sha256, size: 10, blob: undefined }]
  const missing = { outcome: 'blob_missing', path: 'm' }
  const by = (tokenId: string, owner: string, version: string, size = 10) =>
    ledger.publish(
      publication(version, { tokenId, owner, files: files.map((one) => ({ ...one, size })) }),
    )

  t.same(await by('outsider', 'other', '1'), missing)
  t.same(await by('insider', 'acme', 'lie', 11), missing, 'of another size')
  t.match(await by('insider', 'acme', '2'), { outcome: 'created', retired: [] })
  t.equal(await ledger.blobHeldBy('outsider', bytes.sha256, BERT), undefined)
  t.equal(await ledger.blobHeldBy('auditor', bytes.sha256, BERT), undefined)
  t.match(await ledger.blobHeldBy('insider', bytes.sha256.toUpperCase(), BERT), {
    blob: { sha256: bytes.sha256 },
  })
  t.equal(await ledger.checkpoint('other', 'bert'), undefined, 'a refused one leaves no name')
  tamper(folder, "UPDATE versions SET state = 'withdrawn'")
  t.same(await by('insider', 'acme', '3'), missing, 'withdrawn versions hold nothing')
})

t.test('columns that do not fit are refused, and nothing of the publication stays', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const sound = file('one', { tensors: [{ name: 'w' }] })
  const short = { ...sound, size: 99 }
  await t.rejects(ledger.publish(publication('1', { files: [short] })), /do not cover/)
  const tensors = { ...columnsOf([{ name: 'w' }]), dtypes: new Uint8Array(2) }
  const uneven = { ...file('one'), blob: { ...file('one').blob, tensors } }
  await t.rejects(ledger.publish(publication('1', { files: [uneven] })), /differ in length/)
  t.equal(await ledger.checkpoint('acme', 'bert'), undefined)
  t.match(await ledger.verifyAudit(), { valid: true, entries: 1 })
})
