import t from 'tap'
import type { PolicyRules } from '../../db/changes.ts'
import { askedOf, createSizeBudget, judgeMetadata } from '../../src/registry/judge.ts'
import { parseVersionName } from '../../src/registry/names.ts'
import { effective, type Policy } from '../../src/registry/policy.ts'
import { mustResolve, tensorsRef } from '../../src/registry/tensors-ref.ts'
import { type Metadata, metadataTroubles } from '../../src/registry/version-metadata.ts'

const NOW = new Date('2026-11-22T12:00:00Z')
const BERT = { owner: 'acme', name: 'bert' }

const level = (rules: PolicyRules, serial = 1) => ({ rules, serial })
const policy = (rules: PolicyRules): Policy =>
  effective({ owner: undefined, checkpoint: level(rules) })

function judge(rules: PolicyRules, metadata: Metadata, version = '1.0'): void {
  const troubles = metadataTroubles(metadata, version, NOW)
  judgeMetadata(policy(rules), metadata, parseVersionName(version), troubles)
}

/** Asserts who passes, and by which rule and key the others are refused. */
const REFUSED = (rule: string, key: string) => ({ code: 'METADATA_REFUSED', facts: { rule, key } })

t.test('where nothing is said nothing is asked', (t) => {
  const nothing = effective({ owner: undefined, checkpoint: undefined })
  t.same(nothing, policy({}))
  t.same(askedOf({ owner: undefined, checkpoint: undefined }, BERT), {
    serials: { owner: undefined, checkpoint: undefined },
    finite: false,
    sameTensorsAs: undefined,
  })
  t.doesNotThrow(() => {
    judge({}, { version: '9', created_at: 'never' })
  })
  t.end()
})

t.test('a key that the checkpoint says hides the owner’s, null and false too', (t) => {
  const owner = level({ finite: true, max_size: 5, same_tensors_as: 'latest' }, 3)
  const checkpoint = level({ max_size: null, finite: false }, 7)
  t.match(effective({ owner, checkpoint }), {
    finite: false,
    max_size: null,
    same_tensors_as: 'latest',
    sidecars: false,
  })
  t.same(askedOf({ owner, checkpoint }, BERT), {
    serials: { owner: 3, checkpoint: 7 },
    finite: false,
    sameTensorsAs: { ...BERT, ref: 'latest', mayBeMissing: true },
  })
  t.end()
})

t.test('required metadata must be there, be it empty', (t) => {
  const rules = { require_metadata: ['model', 'epoch'] }
  t.throws(
    () => {
      judge(rules, { epoch: '1' })
    },
    REFUSED('require_metadata', 'model'),
  )
  t.throws(
    () => {
      judge(rules, { model: 'bert' })
    },
    REFUSED('require_metadata', 'epoch'),
  )
  t.doesNotThrow(() => {
    judge(rules, { model: '', epoch: '1' })
  })
  t.throws(
    () => {
      judge({ require_metadata: ['toString'] }, {})
    },
    REFUSED('require_metadata', 'toString'),
  )
  t.end()
})

t.test('expected metadata must be there, with one of the values', (t) => {
  const rules = { expect_metadata: { model: ['bert', 'gpt'], format: 'pt' } }
  const refused = (metadata: Metadata, key: string) => {
    t.throws(
      () => {
        judge(rules, metadata)
      },
      REFUSED('expect_metadata', key),
    )
  }
  refused({}, 'model')
  refused({ model: 'bert' }, 'format')
  refused({ model: 'Bert', format: 'pt' }, 'model')
  refused({ model: 'bert', format: 'p' }, 'format')
  for (const model of ['bert', 'gpt'])
    t.doesNotThrow(() => {
      judge(rules, { model, format: 'pt', other: 'x' })
    })
  t.throws(
    () => {
      judge({ expect_metadata: { constructor: 'a' } }, {})
    },
    REFUSED('expect_metadata', 'constructor'),
  )
  t.end()
})

t.test('$version is the version published as, any other dollar is a dollar', (t) => {
  const rules = { expect_metadata: { release: '$version', price: ['$5', '$versions'] } }
  t.doesNotThrow(() => {
    judge(rules, { release: '2.1', price: '$5' }, '2.1')
    judge(rules, { release: '2.1', price: '$versions' }, '2.1')
  })
  t.throws(
    () => {
      judge(rules, { release: '2.0', price: '$5' }, '2.1')
    },
    REFUSED('expect_metadata', 'release'),
  )
  t.throws(
    () => {
      judge(rules, { release: '$version', price: '$5' }, '2.1')
    },
    REFUSED('expect_metadata', 'release'),
  )
  t.end()
})

t.test('what would be a warning is a refusal where the policy names the key', (t) => {
  const odd = { version: '9.9', created_at: '2026-02-30' }
  const table: readonly (readonly [PolicyRules, string | undefined, string])[] = [
    [{ require_metadata: ['created_at'] }, 'require_metadata', 'created_at'],
    [{ require_metadata: ['version'] }, 'require_metadata', 'version'],
    [{ expect_metadata: { version: '9.9' } }, 'expect_metadata', 'version'],
    [{ expect_metadata: { created_at: '2026-02-30' } }, 'expect_metadata', 'created_at'],
    [{ expect_metadata: { version: '$version' } }, 'expect_metadata', 'version'],
    [{ finite: true, max_size: 1 }, undefined, ''],
  ]
  for (const [rules, rule, key] of table) {
    const act = () => {
      judge(rules, odd)
    }
    if (rule === undefined) t.doesNotThrow(act)
    else t.throws(act, REFUSED(rule, key))
  }
  const dates = { require_metadata: ['created_at'] }
  t.doesNotThrow(() => {
    judge(dates, { created_at: '2026-11-22T11:59:59Z', version: '9.9' })
    judge(dates, { created_at: '2026-11-23T01:00:00' })
  })
  for (const created_at of ['', 'today', '2026-11-22T12:02:00Z', '2026-11-23T03:00:00'])
    t.throws(
      () => {
        judge(dates, { created_at })
      },
      REFUSED('require_metadata', 'created_at'),
    )
  t.end()
})

t.test('a version is as large as allowed and no byte more', (t) => {
  const spend = createSizeBudget(policy({ max_size: 10 }))
  spend(4)
  spend(6)
  spend(0)
  const large = { code: 'TOO_LARGE', facts: { limit: 10, rule: 'max_size' } }
  t.throws(() => {
    spend(1)
  }, large)
  t.doesNotThrow(() => {
    createSizeBudget(policy({}))(Number.MAX_SAFE_INTEGER)
  })
  t.end()
})

t.test('same_tensors_as is a ref of the checkpoint itself or of another one', (t) => {
  const own = { ...BERT, mayBeMissing: false }
  t.same(tensorsRef('1.0', BERT), { ...own, ref: '1.0' })
  t.same(tensorsRef('latest', BERT), { ...BERT, ref: 'latest', mayBeMissing: true })
  const other = { owner: 'x', name: 'y', mayBeMissing: false }
  t.same(tensorsRef('x/y@latest', BERT), { ...other, ref: 'latest' })
  for (const odd of ['x/y', 'x/y@', '/y@1', 'x/@1', 'x/y/z@1', '@1'])
    t.same(tensorsRef(odd, BERT), { ...own, ref: odd }, `${odd} is the name of nothing`)
  t.equal(mustResolve('latest', BERT), undefined)
  t.equal(mustResolve('latest', undefined), undefined)
  t.same(mustResolve('x/y@1', undefined), { owner: 'x', name: 'y', ref: '1' })
  t.same(mustResolve('1', BERT), { ...BERT, ref: '1' })
  t.throws(() => mustResolve('1', undefined), { code: 'INVALID_REQUEST' })
  t.end()
})
