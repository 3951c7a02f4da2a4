import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { converted, refused, weightsOf } from './converting.ts'

const FOLDER = new URL('../fixtures/legacy/', import.meta.url)

const read = (name: string): Buffer => readFileSync(new URL(name, FOLDER))

/** Where the weights lie, of those that don't say so themselves. */
const ROOTS: Readonly<Record<string, string>> = { nested: '', 'no-root': 'decoder' }

const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.safetensors'))
  .map((name) => name.slice(0, -'.safetensors'.length))

t.test('what torch.save wrote becomes, bit for bit, what torch.load reads from it', async (t) => {
  t.ok(NAMES.length > 15)
  for (const name of NAMES) {
    const root = ROOTS[name]
    const options = { writesTiedTwice: true, ...(root === undefined ? {} : { root }) }
    const { weights } = converted(read(`${name}.pt`), options)
    t.strictSame(weights, weightsOf(read(`${name}.safetensors`)), name)
  }
})

t.test('the same checkpoint gives the same bytes', async (t) => {
  for (const name of ['trainer', 'views', 'dtypes-before-1.6'])
    t.strictSame(converted(read(`${name}.pt`)).file, converted(read(`${name}.pt`)).file, name)
})

t.test('a state dict says of each format the same, its modules’ _metadata left out', async (t) => {
  const now = converted(read('state-dict.pt'))
  t.equal(now.format, 'torch_zip')
  t.strictSame(now.metadata, { format: 'pt' })
  t.strictSame([now.root, now.dropped, now.tied, now.opaque], ['', [], {}, []])
  const before = converted(read('state-dict-before-1.6.pt'))
  t.equal(before.format, 'torch_legacy')
  t.strictSame(Object.keys(before.weights).sort(), Object.keys(now.weights).sort())
})

t.test(
  'a trainer’s checkpoint gives its weights and its numbers, and says what it left',
  async (t) => {
    for (const name of ['trainer', 'trainer-protocol-3', 'trainer-before-1.6']) {
      const { root, metadata, dropped } = converted(read(`${name}.pt`))
      t.equal(root, 'state_dict', name)
      t.strictSame(metadata, {
        done: 'false',
        epoch: '3',
        format: 'pt',
        loss: '0.25',
        name: 'Ädam 🔥',
      })
      t.strictSame(
        dropped,
        ['optimizer', 'scheduler', 'rng', 'device', 'dtype', 'size', 'counts', 'bytes']
        .concat(['bytearray', 'set', 'complex', 'layout', 'big']), // prettier-ignore
      )
    }
  },
)

t.test('of tied weights one stays and the others are told by its name', async (t) => {
  const { weights, tied, metadata } = converted(read('tied.pt'))
  t.strictSame(Object.keys(weights), ['alias.weight', 'head.first', 'head.transposed'])
  t.strictSame(tied, { 'embed.weight': 'alias.weight', 'head.weight': 'alias.weight' })
  t.strictSame(metadata, { ...tied, format: 'pt' })
})

t.test('tensors that safetensors has none of are refused by name', async (t) => {
  const kinds = {
    quantized: 'a quantized tensor',
    'quantized-per-channel': 'a quantized tensor',
    sparse: 'a sparse tensor',
    'sparse-rows': 'a sparse tensor',
    'nested-tensor': 'a nested tensor',
    meta: 'a tensor on the meta device, which has no bytes',
    complex128: 'of complex128',
    complex32: 'of complex32',
  }
  for (const [name, kind] of Object.entries(kinds)) {
    const message = refused(read(`${name}.pt`))
    t.match(message, /^tensor: .*"weight" is .*, which safetensors does not have$/, name)
    t.ok(message.includes(kind), message)
  }
})

t.test('classes are refused by name and place', async (t) => {
  t.equal(
    refused(read('namespace.pt')),
    'pickle: argparse.Namespace at data.pkl+214 under "hyper_parameters"',
  )
  t.equal(refused(read('module.pt')), 'pickle: torch.nn.modules.linear.Linear at data.pkl+2')
})

t.test('where it is allowed, objects of unknown classes are left out and listed', async (t) => {
  const { weights, opaque, dropped } = converted(read('namespace.pt'), { isOpaqueAllowed: true })
  t.strictSame(Object.keys(weights), ['weight'])
  t.ok(opaque.includes('argparse.Namespace'))
  t.strictSame(dropped, ['hyper_parameters', 'loss'])
  t.match(refused(read('module.pt'), { isOpaqueAllowed: true }), /^root: /)
})

t.test('programs and later protocols are refused for what they are', async (t) => {
  t.match(refused(read('program.pt')), /^not_a_checkpoint: it is a TorchScript program/)
  t.match(refused(read('protocol-4.pt')), /^pickle: data.pkl\+0 is of protocol 4/)
})
