import fc from 'fast-check'
import t from 'tap'
import { evaluate, rangeApplies } from '../../src/http/preconditions.ts'
import type { ConditionHeaders, Validators, Verdict } from '../../src/http/preconditions.ts'

const ETAG = `"sha256-${'ab'.repeat(32)}"`
const OTHER = `"sha256-${'cd'.repeat(32)}"`
const BEFORE = 'Sun, 06 Nov 1994 08:49:36 GMT'
const SAME = 'Sun, 06 Nov 1994 08:49:37 GMT'
const AFTER = 'Sun, 06 Nov 1994 08:49:38 GMT'

const VERSION: Validators = { etag: ETAG, lastModified: new Date('1994-11-06T08:49:37.900Z') }
const TAG: Validators = { etag: ETAG, lastModified: undefined }

type Row = readonly [headers: ConditionHeaders, verdict: Verdict]

const check = (
  t: { equal(a: unknown, b: unknown, title: string): unknown },
  validators: Validators,
  rows: readonly Row[],
) => {
  for (const [headers, verdict] of rows)
    t.equal(evaluate(headers, validators), verdict, JSON.stringify(headers).slice(0, 120))
}

t.test('without conditions a request proceeds', async (t) => {
  check(t, VERSION, [[{}, 'proceed']])
})

t.test('If-Match holds for the same strong tag only', async (t) => {
  check(t, VERSION, [
    [{ ifMatch: ETAG }, 'proceed'],
    [{ ifMatch: '*' }, 'proceed'],
    [{ ifMatch: ' * ' }, 'proceed'],
    [{ ifMatch: `${OTHER} ,, ${ETAG}` }, 'proceed'],
    [{ ifMatch: `"a, b",${ETAG}` }, 'proceed'],
    [{ ifMatch: `W/"x",${ETAG},` }, 'proceed'],
    [{ ifMatch: OTHER }, 'precondition_failed'],
    [{ ifMatch: `W/${ETAG}` }, 'precondition_failed'],
    [{ ifMatch: ETAG.toUpperCase() }, 'precondition_failed'],
    [{ ifMatch: `"x,${ETAG.slice(1)}` }, 'precondition_failed'],
  ])
})

t.test(
  "an If-Match that can't be read fails: the caller's expected hash isn't ignored",
  async (t) => {
    const unread = [
      '',
      ETAG.slice(1, -1),
      ETAG.slice(0, -1),
      `${ETAG} ${ETAG}`,
      `*,${ETAG}`,
      `w/${ETAG}`,
    ]
    check(
      t,
      VERSION,
      [...unread, `${ETAG}, x`].map((ifMatch): Row => [{ ifMatch }, 'precondition_failed']),
    )
  },
)

t.test('If-None-Match answers that nothing changed for the same tag, weak or strong', async (t) => {
  check(t, VERSION, [
    [{ ifNoneMatch: ETAG }, 'not_modified'],
    [{ ifNoneMatch: `W/${ETAG}` }, 'not_modified'],
    [{ ifNoneMatch: '*' }, 'not_modified'],
    [{ ifNoneMatch: `"a,b" , W/"c",\t${ETAG}` }, 'not_modified'],
    [{ ifNoneMatch: OTHER }, 'proceed'],
    [{ ifNoneMatch: ETAG.slice(1, -1) }, 'proceed'],
    [{ ifNoneMatch: '' }, 'proceed'],
  ])
})

t.test('dated conditions compare whole seconds', async (t) => {
  check(t, VERSION, [
    [{ ifModifiedSince: BEFORE }, 'proceed'],
    [{ ifModifiedSince: SAME }, 'not_modified'],
    [{ ifModifiedSince: AFTER }, 'not_modified'],
    [{ ifModifiedSince: 'Sunday, 06-Nov-94 08:49:37 GMT' }, 'not_modified'],
    [{ ifModifiedSince: 'Sun Nov  6 08:49:37 1994' }, 'not_modified'],
    [{ ifUnmodifiedSince: BEFORE }, 'precondition_failed'],
    [{ ifUnmodifiedSince: SAME }, 'proceed'],
    [{ ifUnmodifiedSince: AFTER }, 'proceed'],
  ])
})

t.test('a dated condition without a valid date is ignored', async (t) => {
  const bad = ['', 'yesterday', '1994-11-06T08:49:36Z', `${BEFORE}, ${BEFORE}`]
  check(
    t,
    VERSION,
    bad.flatMap((text): Row[] => [
      [{ ifModifiedSince: text }, 'proceed'],
      [{ ifUnmodifiedSince: text }, 'proceed'],
    ]),
  )
})

t.test('through a tag every dated condition is ignored', async (t) => {
  check(t, TAG, [
    [{ ifModifiedSince: AFTER }, 'proceed'],
    [{ ifUnmodifiedSince: BEFORE }, 'proceed'],
    [{ ifNoneMatch: ETAG }, 'not_modified'],
    [{ ifMatch: OTHER }, 'precondition_failed'],
  ])
  t.notOk(rangeApplies(SAME, TAG))
})

t.test('conditions are judged in the order of RFC 9110 §13.2.2', async (t) => {
  check(t, VERSION, [
    [{ ifMatch: OTHER, ifNoneMatch: ETAG }, 'precondition_failed'],
    [{ ifMatch: ETAG, ifNoneMatch: ETAG }, 'not_modified'],
    [{ ifMatch: ETAG, ifUnmodifiedSince: BEFORE }, 'proceed'],
    [{ ifNoneMatch: OTHER, ifModifiedSince: SAME }, 'proceed'],
    [{ ifUnmodifiedSince: BEFORE, ifNoneMatch: ETAG }, 'precondition_failed'],
    [{ ifUnmodifiedSince: SAME, ifModifiedSince: SAME }, 'not_modified'],
  ])
})

t.test('If-Range lets a range through for exactly these bytes', async (t) => {
  for (const yes of [undefined, ETAG, ` ${ETAG} `, SAME, 'Sun Nov  6 08:49:37 1994'])
    t.ok(rangeApplies(yes, VERSION), String(yes))
  for (const no of ['', OTHER, `W/${ETAG}`, '*', BEFORE, AFTER, 'x', `${ETAG}, ${ETAG}`, 'NaN'])
    t.notOk(rangeApplies(no, VERSION), no)
})

t.test('a tag in any list of tags is found', async (t) => {
  const tag = fc.stringMatching(/^(W\/)?"[!#-~, ]*"$/)
  const gap = fc.constantFrom(',', ', ', ' ,\t', ',,')
  fc.assert(
    fc.property(fc.array(tag), fc.array(tag), gap, (before, after, comma) => {
      const list = [...before, ETAG, ...after].join(comma)
      return (
        evaluate({ ifMatch: list }, VERSION) === 'proceed' &&
        evaluate({ ifNoneMatch: list }, VERSION) === 'not_modified'
      )
    }),
  )
  t.pass()
})

t.test('no header crashes it, and the longest takes no time', async (t) => {
  const begun = performance.now()
  for (const part of [' ', ',', '"', 'W/', '""', '"",', ' ,', 'x', '" ', '"\t,'])
    for (const tail of ['', 'x', '"', ',x']) {
      const header = part.repeat(16_384) + tail
      evaluate({ ifMatch: header }, VERSION)
      evaluate({ ifNoneMatch: header }, VERSION)
      evaluate({ ifModifiedSince: header, ifUnmodifiedSince: header }, VERSION)
      rangeApplies(header, VERSION)
    }
  t.ok(performance.now() - begun < 2000)
  const unit = fc.constantFrom('"', ',', ' ', '\t', '*', 'W/', ETAG, 'é', '\0')
  fc.assert(
    fc.property(fc.string({ unit }), (text) => {
      const verdicts = ['proceed', 'not_modified', 'precondition_failed']
      return verdicts.includes(evaluate({ ifMatch: text, ifNoneMatch: text }, VERSION))
    }),
  )
})
