import t from 'tap'
import { checkIndex } from '../../src/hashing/check-index.ts'

function shard(path: string, ...tensors: readonly string[]) {
  let end = 0
  return {
    path,
    names: Buffer.from(tensors.join('')),
    nameEnds: Uint32Array.from(tensors, (name) => (end += Buffer.byteLength(name))),
  }
}

const shards = [
  shard('a.safetensors', 'x', 'ü', '__proto__'),
  shard('sub/b.safetensors', 'y', ''),
  shard('../c.safetensors', 'z'),
]
const index = (map: unknown): Buffer =>
  Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }))

const GOOD: readonly (readonly [string, Buffer])[] = [
  ['tensors and shards of its version', index({ x: 'a.safetensors', y: 'sub/b.safetensors' })],
  ['not every tensor, nor every shard', index({ ü: 'a.safetensors' })],
  ['nothing', index({})],
  [
    'a shard outside its own folder, as long as it is in the version',
    index({ z: '../c.safetensors' }),
  ],
  ['a tensor called __proto__', Buffer.from('{"weight_map":{"__proto__":"a.safetensors"}}')],
]
for (const [what, text] of GOOD) {
  t.test(`an index may name ${what}`, (t) => {
    t.equal(checkIndex(text, shards), undefined)
    t.end()
  })
}

const BAD: readonly (readonly [string, Buffer])[] = [
  ['that is not JSON', Buffer.from('{"weight_map":{}')],
  ['that is empty', Buffer.alloc(0)],
  ['that is not UTF-8', Buffer.from('{"weight_map":{"\xff":"a"}}', 'latin1')],
  ['that begins with a byte order mark', Buffer.from('\ufeff{"weight_map":{}}')],
  ['that is an array', Buffer.from('[]')],
  ['that is null', Buffer.from('null')],
  ['without a weight_map', Buffer.from('{}')],
  ['whose weight_map is an array', index([])],
  ['that maps a tensor to a number', index({ x: 1 })],
  ['of a shard that the version lacks', index({ x: 'd.safetensors' })],
  ['of a shard that is a property of every object', index({ x: '__proto__' })],
  ['of a shard by another spelling of its path', index({ y: './sub//x/../b.safetensors' })],
  [
    'that maps a tensor twice',
    Buffer.from('{"weight_map":{"x":"/etc/passwd","x":"a.safetensors"}}'),
  ],
  ['with two weight_maps', Buffer.from('{"weight_map":{"x":"/"},"weight_map":{}}')],
  ['of an absolute path', index({ x: '/a.safetensors' })],
  ['of a tensor that another shard holds', index({ x: 'sub/b.safetensors' })],
  ['of a tensor that no shard holds', index({ w: 'a.safetensors' })],
  ['of a name that is a lone surrogate', Buffer.from('{"weight_map":{"\\ud800":"a.safetensors"}}')],
]
for (const [what, text] of BAD) {
  t.test(`an index ${what} is refused`, (t) => {
    t.type(checkIndex(text, shards), 'string')
    t.end()
  })
}

t.test('an index of nothing but brackets is refused before it is parsed', async (t) => {
  const text = Buffer.from(`{"weight_map":{},"metadata":[${'[],'.repeat(200_000)}[]]}`)
  t.match(checkIndex(text, []), /far more values/)
  const quoted = Buffer.from(`{"weight_map":{},"metadata":"${'[,\\"'.repeat(200_000)}"}`)
  t.equal(checkIndex(quoted, []), undefined, 'those inside a string are no values')
})

t.test('a byte order mark is part of a tensor’s name like any letter', async (t) => {
  const marked = shard('a.safetensors', '\ufeffa')
  t.equal(checkIndex(index({ '\ufeffa': 'a.safetensors' }), [marked]), undefined)
  t.match(checkIndex(index({ a: 'a.safetensors' }), [marked]), /does not hold/)
})
