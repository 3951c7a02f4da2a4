import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { startServer } from '../helpers/server.ts'
import { blobsOf, staged, verdict } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const entry = (shape: string, offsets: string, dtype = 'U8'): string =>
  `{"a":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offsets}]}}`

t.test('a header that two readers could read differently is refused', async (t) => {
  const lies: readonly [string, string, string][] = [
    ['one name twice', `{${u8('a', 0, 8)},${u8('a', 0, 8)}}`, 'duplicate_key'],
    [
      'one name twice, once escaped',
      `{${u8('a', 0, 8)},${u8('a', 0, 8).replace('"a"', '"\\u0061"')}}`,
      'duplicate_key',
    ],
    [
      'one metadata key twice',
      `{"__metadata__":{"k":"1","k":"2"},${u8('a', 0, 8)}}`,
      'duplicate_key',
    ],
    ['metadata twice', `{"__metadata__":{},"__metadata__":{},${u8('a', 0, 8)}}`, 'duplicate_key'],
    [
      'a field twice',
      '{"a":{"dtype":"U8","dtype":"F64","shape":[8],"data_offsets":[0,8]}}',
      'duplicate_key',
    ],
    ['offsets of 2^53', entry('8', '9007199254740992,9007199254741000'), ''],
    ['offsets that are equal as doubles only', entry('8', '9007199254740993,9007199254741001'), ''],
    ['offsets of 2^64', entry('8', '18446744073709551616,18446744073709551624'), 'offsets_invalid'],
    ['offsets that wrap', entry('8', '18446744073709551615,7'), 'offsets_invalid'],
    ['offsets the wrong way round', entry('8', '8,0'), 'offsets_invalid'],
    ['a negative offset', entry('8', '-8,0'), 'offsets_invalid'],
    ['an offset with an exponent', entry('8', '0,8e0'), 'offsets_invalid'],
    ['a shape whose product wraps to 8', entry('4294967296,4294967296,8', '0,8'), 'shape_invalid'],
    ['a shape larger than its bytes', entry('9', '0,8'), 'size_mismatch'],
    ['a shape of 2^61 F64', entry('2305843009213693953', '0,8', 'F64'), ''],
    ['more bytes than there are', entry('9', '0,9'), 'truncated'],
    ['an empty name', `{${u8('', 0, 8)}}`, 'empty_name'],
    ['a dtype nobody knows', entry('8', '0,8', 'U7'), 'unknown_dtype'],
  ]
  for (const [what, header, reason] of lies) {
    const answer = await verdict(await server.put('acme/lie/1', rawFile(header, 8)))
    t.match(answer, { status: 422, code: 'INVALID_SAFETENSORS' }, what)
    if (reason === '')
      t.match(answer.reason, /^(shape|offsets)_invalid|size_mismatch|gap|truncated$/)
    else t.equal(answer.reason, reason, what)
  }
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

t.test('names that mean something to JavaScript are names like any other', async (t) => {
  const header = `{"__metadata__":{"__proto__":"x","constructor":"y"},${u8('__proto__', 0, 4)},${u8('constructor', 4, 8)}}`
  const answer = await server.put('acme/proto/1', rawFile(header, 8), {
    query: '?meta.hasOwnProperty=z&__proto__=q',
  })
  t.equal(answer.status, 201)
  const text = await (await server.request('/v1/checkpoints/acme/proto/1')).text()
  t.match(text, /"__proto__":"x"/)
  t.match(text, /"hasOwnProperty":"z"/)
  const page = await (await server.request('/v1/checkpoints/acme/proto/1/tensors')).text()
  t.match(page, /"name":"__proto__"/)
  t.notOk('x' in {}, 'no prototype was touched')
})
