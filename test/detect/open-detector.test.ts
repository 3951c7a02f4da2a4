import t from 'tap'
import fc from 'fast-check'
import { openDetector } from '../../src/detect/open-detector.ts'
import { DetectorRefused } from '../../src/detect/refused.ts'
import { LABELS, detectorFile, rawDetectorFile, tinyDetector, tinyParts } from './fixture.ts'
import type { NewClassifier, TinyOptions, TinyParts } from './fixture.ts'
import { f32, i32, u32 } from './matrices.ts'
import type { NewTensor } from './matrices.ts'

const TREES: NewClassifier = { kind: 'trees', link: 'softmax', aggregate: 'sum', labels: LABELS }

/** Where the file is refused; `accepted` where it isn't. Anything but DetectorRefused is a fault of ours. */
function verdict(bytes: Uint8Array): string {
  try {
    openDetector(bytes)
    return 'accepted'
  } catch (error) {
    if (error instanceof DetectorRefused) return error.where
    throw error
  }
}

t.test('a file of every architecture, tokenizer, storage and classifier is opened', async (t) => {
  const files: TinyOptions[] = [
    {},
    { architecture: 'relu', rows: 20, features: false },
    { architecture: 'topk', tokenizer: 'wordpiece', storage: 'int8', pieceStorage: '4bit' },
    { tokenizer: 'none', storage: 'bf16', classifiers: [TREES] },
    {
      storage: 'f16',
      classifiers: [TREES, { kind: 'logistic', link: 'sigmoid', labels: ['phone'] }],
    },
  ]
  for (const options of files) {
    const { settings, tensors } = openDetector(tinyDetector(options))
    t.equal(settings.text === undefined, options.tokenizer === 'none')
    t.equal(settings.sae.rows, options.rows ?? 48)
    t.ok(tensors.has('sae.encoder.weight'))
  }
})

t.test('the tensors are views of the file', async (t) => {
  const bytes = tinyDetector()
  for (const tensor of openDetector(bytes).tensors.values())
    t.equal(tensor.bytes.buffer, bytes.buffer)
})

t.test('a file at an odd address is read as any other', async (t) => {
  const bytes = tinyDetector({ storage: 'f16', rows: 20, classifiers: [TREES] })
  const odd = new Uint8Array(bytes.length + 1).subarray(1)
  odd.set(bytes)
  t.equal(verdict(odd), 'accepted')
})

type Json = Record<string, unknown>
/** The object at a path of the settings. */
function at(settings: Json, ...path: (string | number)[]): Json {
  return path.reduce<unknown>((value, key) => (value as Json)[key], settings) as Json
}

const settingsRefused: [string, (settings: Json) => unknown][] = [
  ['sae.width', (s) => (at(s, 'sae')['width'] = 2 ** 40)],
  ['sae.width', (s) => (at(s, 'sae')['width'] = '48')],
  ['sae.width', (s) => (at(s, 'sae')['width'] = 48.5)],
  ['sae.rows', (s) => (at(s, 'sae')['rows'] = 49)],
  ['sae.rows', (s) => (at(s, 'sae')['rows'] = 0)],
  ['sae.k', (s) => (at(s, 'sae')['k'] = 3)],
  ['sae.d_model', (s) => (at(s, 'sae')['d_model'] = 33)],
  ['sae.d_model', (s) => delete at(s, 'sae')['d_model']],
  ['sae.architecture', (s) => (at(s, 'sae')['architecture'] = 'gated')],
  ['format', (s) => (s['format'] = 2)],
  ['format', (s) => delete s['format']],
  ['code', (s) => (s['code'] = 'import os')],
  ['__proto__', (s) => Object.defineProperty(s, '__proto__', { value: {}, enumerable: true })],
  ['host', (s) => delete s['host']],
  ['tokenizer', (s) => delete s['tokenizer']],
  ['host.heads', (s) => (at(s, 'host')['heads'] = 5)],
  ['host.layers', (s) => (at(s, 'host')['layers'] = 1e9)],
  ['host.epsilon', (s) => (at(s, 'host')['epsilon'] = 0)],
  ['host.epsilon', (s) => (at(s, 'host')['epsilon'] = 1e-300)],
  ['host.features', (s) => (at(s, 'host')['features'] = 'other')],
  ['tokenizer.begin', (s) => (at(s, 'tokenizer')['begin'] = 1e6)],
  ['tokenizer.lowercase', (s) => (at(s, 'tokenizer')['lowercase'] = true)],
  ['classifiers', (s) => (s['classifiers'] = [])],
  ['classifiers', (s) => (s['classifiers'] = Array<unknown>(65).fill(at(s, 'classifiers', 0)))],
  ['classifiers[0].labels', (s) => (at(s, 'classifiers', 0)['labels'] = ['none', 'none'])],
  ['classifiers[0].labels[0]', (s) => (at(s, 'classifiers', 0)['labels'] = ['ssn'])],
  ['classifiers[0].link', (s) => (at(s, 'classifiers', 0)['labels'] = ['phone'])],
  ['classifiers[0].aggregate', (s) => (at(s, 'classifiers', 0)['aggregate'] = 'sum')],
  ['decoding.window', (s) => (at(s, 'decoding')['window'] = 63)],
  ['decoding.window', (s) => (at(s, 'decoding')['window'] = 3)],
  ['decoding.overlap', (s) => (at(s, 'decoding')['overlap'] = 30)],
  ['decoding.categories.phone', (s) => delete at(s, 'decoding', 'categories')['phone']],
  ['decoding.categories.ssn', (s) => (at(s, 'decoding', 'categories')['ssn'] = {})],
  ['decoding.categories.phone.threshold', (s) => (at(s, 'decoding', 'categories', 'phone')['threshold'] = null)],
  ['decoding.categories.phone.threshold', (s) => (at(s, 'decoding', 'categories', 'phone')['threshold'] = 'NaN')],
  ['decoding.categories.phone.threshold', (s) => (at(s, 'decoding', 'categories', 'phone')['threshold'] = 1.5)],
  ['decoding.categories.phone.calibration', (s) => (at(s, 'decoding', 'categories', 'phone')['calibration'] = [[0.5, 0.5], [0.4, 0.6]])],
  ['decoding.categories.phone.calibration', (s) => (at(s, 'decoding', 'categories', 'phone')['calibration'] = [[0.4, 0.5], [0.5, 0.4]])],
  ['decoding.categories.phone.calibration[0]', (s) => (at(s, 'decoding', 'categories', 'phone')['calibration'] = [[0]])],
  ['golden[0].spans', (s) => (s['golden'] = golden([0, 3], [2, 4]))],
  ['golden[0].spans[0].end', (s) => (s['golden'] = golden([0, 99]))],
  ['golden[0].spans[0].category', (s) => (s['golden'] = [{ text: 'ab', spans: [{ category: 'ssn', start: 0, end: 1 }] }])],
  ['golden[0].text', (s) => (s['golden'] = [{ text: '\ud800', spans: [] }])],
  ['languages', (s) => (s['languages'] = ['en', 'en'])],
  ['languages[0]', (s) => (s['languages'] = ['../en'])],
  ['description', (s) => (s['description'] = 'two\nlines')],
  ['scores', (s) => (s['scores'] = Array.from({ length: 20 }).reduce((inner) => ({ inner }), {}))],
] // prettier-ignore

function golden(...ranges: [number, number][]): unknown {
  const spans = ranges.map(([start, end]) => ({ category: 'phone', start, end }))
  return [{ text: 'abcdef', spans }]
}

t.test('settings that depart from the format are refused by the name of the member', async (t) => {
  for (const [where, change] of settingsRefused) {
    const parts = tinyParts()
    change(parts.settings)
    t.equal(verdict(detectorFile(parts)), where, `${where}: ${change.toString()}`)
  }
})

t.test(
  'settings that are not an object of JSON, too long, or not finite are refused',
  async (t) => {
    const { settings, tensors } = tinyParts()
    const json = JSON.stringify(settings)
    const cases: [string, string][] = [
      ['settings', ''],
      ['settings', '[]'],
      ['settings', json.slice(1)],
      ['settings', json + ' '.repeat(1024 * 1024)],
      [
        'decoding.categories.phone.threshold',
        json.replace(/("phone":{"threshold":)0.3/, '$11e999'),
      ],
      ['scores', json.replace('"scores":{}', '"scores":{"f1":1e999}')],
      ['settings', '['.repeat(500_000)],
    ]
    for (const [where, text] of cases) t.equal(verdict(rawDetectorFile(text, tensors)), where)
  },
)

/** Changes one tensor of a file. */
function changed(
  options: TinyOptions,
  name: string,
  change: (tensor: NewTensor) => NewTensor[],
): Uint8Array {
  const { settings, tensors } = tinyParts(options)
  const index = tensors.findIndex((tensor) => tensor.name === name)
  const tensor = tensors[index]
  if (tensor === undefined) throw new Error(`the fixture has no ${name}`)
  return detectorFile({ settings, tensors: tensors.toSpliced(index, 1, ...change(tensor)) })
}

t.test('every tensor is asked for: a file without one is refused by its name', async (t) => {
  const options = { storage: 'int8', pieceStorage: '4bit', rows: 20, classifiers: [TREES] } as const
  for (const { name } of tinyParts(options).tensors)
    t.equal(verdict(changed(options, name, () => [])), `tensor ${name}`)
})

t.test('every tensor has one shape and dtype: another is refused by its name', async (t) => {
  const options = { storage: 'int8', pieceStorage: '4bit', rows: 20, classifiers: [TREES] } as const
  // What gives the number of nodes, of mapped code points or of bytes is judged by those that go with it.
  const anyLength = /feature|roots|map\.|pieces$/
  for (const { name } of tinyParts(options).tensors) {
    const asF16 = (tensor: NewTensor): NewTensor[] => [
      { ...tensor, dtype: 'F16', shape: [tensor.bytes.length / 2] },
    ]
    const longer = (tensor: NewTensor): NewTensor[] => {
      const [rows = 0, ...rest] = tensor.shape
      const bytes = new Uint8Array(tensor.bytes.length * 2)
      return [{ ...tensor, shape: [rows * 2, ...rest], bytes }]
    }
    if (!name.endsWith('piece.scale') && name !== 'tokenizer.pieces')
      t.equal(verdict(changed(options, name, asF16)), `tensor ${name}`)
    if (!anyLength.test(name)) t.equal(verdict(changed(options, name, longer)), `tensor ${name}`)
  }
})

t.test('a tensor that nothing calls for is refused', async (t) => {
  const { settings, tensors } = tinyParts()
  const extra = f32('host.layers.2.norm.weight', [1], Float32Array.of(1))
  t.equal(
    verdict(detectorFile({ settings, tensors: [...tensors, extra] })),
    'tensor host.layers.2.norm.weight',
  )
})

t.test('a float that is not finite is refused wherever it stands', async (t) => {
  for (const storage of ['f32', 'f16', 'bf16'] as const)
    for (const { name, dtype, bytes } of tinyParts({ storage, classifiers: [TREES] }).tensors) {
      const pattern = { F32: [0, 0, 0x80, 0x7f], F16: [1, 0x7c], BF16: [0x80, 0xff] }[dtype]
      if (pattern === undefined) continue
      const damaged = new Uint8Array(bytes)
      damaged.set(pattern, damaged.length - pattern.length)
      const file = changed({ storage, classifiers: [TREES] }, name, (tensor) => [
        { ...tensor, bytes: damaged },
      ])
      t.equal(verdict(file), `tensor ${name}`)
    }
})

t.test('a scale that makes a matrix infinite is refused', async (t) => {
  const name = 'sae.encoder.weight.scale'
  const file = changed({ storage: 'int8' }, name, ({ shape }) => [
    f32(name, shape, new Float32Array(48).fill(3e38)),
  ])
  t.equal(verdict(file), `tensor ${name}`)
})

const vocabularyRefused: [string, string, (tensor: NewTensor) => NewTensor[]][] = [
  ['tokenizer.pieces', 'tokenizer.pieces', (p) => [{ ...p, bytes: p.bytes.with(9, 0xff) }]],
  ['tokenizer.ends', 'tokenizer.ends', ({ bytes }) => [u32('tokenizer.ends', [0, ...ends(bytes).slice(1)])]],
  ['tokenizer.ends', 'tokenizer.ends', ({ bytes }) => [u32('tokenizer.ends', [7, ...ends(bytes).slice(1)])]],
  ['tokenizer.ends', 'tokenizer.ends', ({ bytes }) => [u32('tokenizer.ends', [...ends(bytes).slice(0, -1), 1e9])]],
  ['tokenizer.ends', 'tokenizer.ends', ({ bytes }) => [u32('tokenizer.ends', ends(bytes).with(-1, (ends(bytes).at(-1) ?? 0) - 1))]],
  // ▁ takes bytes 12 to 14.
  ['tokenizer.ends', 'tokenizer.ends', ({ bytes }) => [u32('tokenizer.ends', ends(bytes).with(2, 13))]],
  ['tokenizer.pieces', 'tokenizer.pieces', (p) => [{ ...p, bytes: p.bytes.with(16, p.bytes[15] ?? 0) }]],
  ['tokenizer.map.from', 'tokenizer.map.from', ({ bytes }) => [u32('tokenizer.map.from', ends(bytes).reverse())]],
  ['tokenizer.map.from', 'tokenizer.map.from', ({ bytes }) => [u32('tokenizer.map.from', ends(bytes).with(-1, 0x110000))]],
  ['tokenizer.map.to', 'tokenizer.map.to', ({ bytes }) => [u32('tokenizer.map.to', ends(bytes).with(0, 0xd800))]],
  ['tokenizer.map.ends', 'tokenizer.map.ends', ({ bytes }) => [u32('tokenizer.map.ends', ends(bytes).with(0, 3).with(1, 2))]],
  ['tokenizer.map.ends', 'tokenizer.map.ends', ({ bytes }) => [u32('tokenizer.map.ends', ends(bytes).with(-1, 1))]],
  ['tokenizer.map.ends', 'tokenizer.map.to', () => [u32('tokenizer.map.to', Array<number>(9999).fill(65))]],
] // prettier-ignore

const ends = (bytes: Uint8Array): number[] => [...new Uint32Array(bytes.slice().buffer)]

t.test(
  'a vocabulary that is not UTF-8, out of order, doubled or cut in a character is refused',
  async (t) => {
    for (const [where, name, change] of vocabularyRefused)
      t.equal(verdict(changed({}, name, change)), `tensor ${where}`, change.toString())
  },
)

t.test('one code point can not be read as thousands', async (t) => {
  const { settings, tensors } = tinyParts()
  const others = tensors.filter(({ name }) => !name.startsWith('tokenizer.map'))
  const map = [
    u32('tokenizer.map.from', [65]),
    u32('tokenizer.map.ends', [33]),
    u32('tokenizer.map.to', Array<number>(33).fill(66)),
  ]
  t.equal(
    verdict(detectorFile({ settings, tensors: [...others, ...map] })),
    'tensor tokenizer.map.ends',
  )
})

t.test('latents of a cut SAE ascend and are below its width', async (t) => {
  const with_ = (numbers: number[]): string =>
    verdict(changed({ rows: 3 }, 'sae.latents', () => [u32('sae.latents', numbers)]))
  t.equal(with_([0, 1, 47]), 'accepted')
  t.equal(with_([0, 1, 48]), 'tensor sae.latents')
  t.equal(with_([0, 1, 1]), 'tensor sae.latents')
})

const treesRefused: [string, string, number[]][] = [
  ['cycle to itself', 'left', [0, 0, 0]],
  ['cycle on the right', 'right', [0, 0, 0]],
  ['out of the nodes', 'left', [99, 0, 0]],
  ['negative', 'left', [-1, 0, 0]],
  ['both sides to one', 'left', [2, 0, 0]],
  ['below −1', 'feature', [-2, -1, -1]],
  ['no row of the SAE', 'feature', [48, -1, -1]],
  ['a node that nothing leads to', 'feature', [-1, -1, -1]],
  ['no root at node 0', 'roots', [1]],
  ['the same root twice', 'roots', [0, 0]],
  ['a root out of the nodes', 'roots', [0, 3]],
  ['a root within a tree', 'roots', [0, 2]],
]

t.test(
  'trees with a cycle, a shared node, a lost node or one beyond their end are refused',
  async (t) => {
    const classifier: NewClassifier = { ...TREES, trees: 1, depth: 1 }
    const options = { classifiers: [classifier] }
    t.equal(verdict(tinyDetector(options)), 'accepted')
    for (const [title, field, numbers] of treesRefused) {
      const name = `classifiers.0.${field}`
      const where = verdict(changed(options, name, () => [i32(name, numbers)]))
      t.match(where, /^tensor classifiers\.0\.(feature|left|right|roots)$/, title)
    }
  },
)

/** A tree whose every left child is the next node. */
function chain(depth: number): TinyParts {
  const { settings, tensors } = tinyParts({
    classifiers: [{ ...TREES, labels: ['phone', 'none'] }],
  })
  const nodes = depth * 2 + 1
  const each = (value: (i: number) => number): number[] =>
    Array.from({ length: nodes }, (_, i) => value(i))
  const isSplit = (i: number): boolean => i < depth
  const made = [
    i32('classifiers.0.feature', each((i) => (isSplit(i) ? 0 : -1))),
    i32('classifiers.0.left', each((i) => i + 1)),
    i32('classifiers.0.right', each((i) => nodes - 1 - i)),
    f32('classifiers.0.threshold', [nodes], new Float32Array(nodes)),
    f32('classifiers.0.value', [nodes, 2], new Float32Array(nodes * 2)),
    i32('classifiers.0.roots', [0]),
  ] // prettier-ignore
  const names = new Set(made.map(({ name }) => name))
  return { settings, tensors: [...tensors.filter(({ name }) => !names.has(name)), ...made] }
}

t.test('a tree that would exhaust the stack of whoever walks it is refused', async (t) => {
  t.equal(verdict(detectorFile(chain(1000))), 'accepted')
  t.equal(verdict(detectorFile(chain(100_000))), 'tensor classifiers.0.left')
})

t.test('what is no safetensors file, or no detector, is refused as a file', async (t) => {
  const bytes = tinyDetector()
  t.equal(verdict(new Uint8Array()), 'file')
  t.equal(verdict(bytes.subarray(0, -1)), 'file')
  t.equal(verdict(Buffer.from('\x80\x02}q\x00.')), 'file')
  const { tensors } = tinyParts()
  t.equal(verdict(rawDetectorFile('', tensors)), 'settings')
})

t.test('a refusal never quotes more than a few words of the file', async (t) => {
  const parts = tinyParts()
  parts.settings['x'.repeat(100_000)] = 1
  t.throws(() => openDetector(detectorFile(parts)), { message: /^.{1,300}$/ })
})

t.test('whatever bytes are changed, a file is opened or refused, and nothing else', async () => {
  const file = tinyDetector({
    storage: 'int8',
    pieceStorage: '4bit',
    rows: 20,
    classifiers: [TREES],
  })
  const headerEnd = 8 + Number(new DataView(file.buffer).getBigUint64(0, true))
  const place = fc.oneof(fc.nat(headerEnd - 1), fc.nat(file.length - 1))
  fc.assert(
    fc.property(
      fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const damaged = file.slice()
        for (const [index, byte] of changes) damaged[index] = byte
        verdict(damaged)
      },
    ),
    { seed: 20_251_122, numRuns: 400 },
  )
})
