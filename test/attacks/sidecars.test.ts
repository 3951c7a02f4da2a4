import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { latin1, piece, sentencepieceModel, tarOfModel } from '../sidecars/fixture.ts'
import { blobsOf, fileUrl, MIB, staged, verdict, weights } from './hostile.ts'
import { pickles, zip } from './pickles.ts'

// On a machine with more to do.
t.setTimeout(120_000)

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)
const policy = await server.request('/v1/owners/open/policy', {
  token: ADMIN,
  method: 'PUT',
  headers: { 'content-type': 'application/json' },
  body: '{"sidecars": true}',
})
t.equal(policy.status, 200, 'sidecars are admitted')

const put = async (path: string, bytes: Uint8Array, ref = 'open/bert/1') =>
  verdict(await server.put(ref, bytes, { query: `?path=${encodeURIComponent(path)}` }))

const NAMES = ['README.md', 'config.json', 'vocab.txt', 'tokenizer.model', 'a.tiktoken', 'LICENSE']
const marker = join(server.folder, 'ran')
const fixture = (name: string): Buffer =>
  readFileSync(join(import.meta.dirname, '../fixtures/other-formats', name))

/** Pickles that run a command, with what could hide that from who looks at their first bytes only. */
function hiddenPickles(command: string): readonly Buffer[] {
  const call = `cos\nsystem\n(S'${command}'\ntR.`
  const hidden = [
    ...[`N0${call}`, `N.${call}`, `Vtext\n0${call}`, `(1${call}`, `((I1\nI2\nt0${call}`],
    ...[`${'N0'.repeat(100_000)}${call}`, `${call}\n# A model\n\nIt does this.\n`],
    ...[`(S'${command}'\nios\nsystem\n.`, `(cos\nsystem\nS'${command}'\no.`],
  ]
  const numbers = ['I0x10', 'I\x0c1', 'I1_0', 'L0o7L', 'F\x0c1', 'F1e5'].map(
    (number) => `${number}\n0${call}`,
  )
  const puts = [`I1\np\x0c1\n0${call}`]
  return [...pickles(command), ...[...hidden, ...numbers, ...puts].map((text) => Buffer.from(text))]
}

/** What changes the loader's modules, or runs one, and calls nothing. */
const UNCALLED = [
  "csys\n__dict__\nS'append'\ncos\nsystem\ns0cos\nsys\nS'true'\na.",
  "cbuiltins\n__dict__\nS'print'\ncos\nsystem\ns.",
  "cos\nenviron\nS'LD_PRELOAD'\nS'/tmp/x.so'\ns.",
  'cthis\ns\n.',
  'cthis\nwhat follows\n',
  'cthis.and so on\n',
  'cthis ',
  'ithis\ns\n',
].flatMap((text) =>
  ['', 'N0', 'Vtext\n0', '(l0', 'I1\n0', "S'# hello'\n0", 'NNN000'].map((start) => start + text),
)

t.test('what imports and calls nothing is refused in text', async (t) => {
  for (const text of UNCALLED)
    t.match(
      await put('README.md', latin1(text)),
      { status: 422, looks_like: 'pickle' },
      JSON.stringify(text),
    )
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

t.test('a pickle is refused under the name of every sidecar, and never runs', async (t) => {
  for (const path of NAMES)
    for (const pickle of hiddenPickles(`touch ${marker}`)) {
      const facts = { status: 422, code: 'INVALID_SAFETENSORS', reason: 'not_safetensors' }
      t.match(
        await put(path, pickle),
        facts,
        `${path}: ${JSON.stringify(String(pickle).slice(0, 30))}`,
      )
    }
  t.notOk(existsSync(marker), 'nothing ran')
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

const LOAD = `
import io, json, pickle, sys
for text in json.load(sys.stdin):
    for load in pickle.load, pickle._load:
        stream = io.BytesIO(bytes.fromhex(text))
        try:
            while True: load(stream)
        except Exception: pass
`

t.test('the hidden pickles of this attack are live', async (t) => {
  if (spawnSync('python3', ['-c', '']).status !== 0) {
    t.comment('NO PYTHON HERE: WHETHER THE PICKLES WOULD RUN IN IT WAS NOT SHOWN')
    return
  }
  const folder = t.testdir()
  const count = hiddenPickles('').length
  const files = Array.from({ length: count }, (_, i) => hiddenPickles(`touch ${folder}/${i}`)[i])
  const input = JSON.stringify(files.map((file) => file?.toString('hex')))
  spawnSync('python3', ['-c', LOAD], { input })
  for (let i = 0; i < count; i++) t.ok(existsSync(join(folder, String(i))), `pickle ${i} ran`)
})

t.test('no archive, no program and no weights come in as text', async (t) => {
  const archive = zip('data.pkl', pickles('true')[2] ?? Buffer.alloc(0))
  for (const path of NAMES)
    for (const [what, bytes] of [
      ['a ZIP', archive],
      ['a ZIP behind text', Buffer.concat([Buffer.from('# A model\n'), archive])],
      ['torch.save', fixture('state-dict.pt')],
      ['numpy.savez', fixture('arrays.npz')],
      ['gzip', gzipSync('text')],
      ['ELF', readFileSync(process.execPath).subarray(0, 4096)],
      ['ONNX', fixture('model.onnx')],
      ['HDF5', fixture('weights.h5')],
      ['GGUF', fixture('model.gguf')],
      ['safetensors', weights(4096)],
      ['safetensors without tensors', latin1('\x02\0\0\0\0\0\0\0{}')],
    ] as const)
      t.match(
        await put(path, bytes),
        { status: 422, reason: 'not_safetensors' },
        `${what} as ${path}`,
      )
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
})

t.test('an archive or weights in a model of pieces are refused', async (t) => {
  const archive = zip('data.pkl', pickles('true')[2] ?? Buffer.alloc(0))
  // Ten bytes of header: 0a 08 …, which are also a tag and a length.
  const header = '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'.padEnd(0x080a)
  const polyglot = Buffer.concat([latin1('\x0a\x08\0\0\0\0\0\0'), Buffer.from(header)])
  for (const [what, bytes] of [
    ['an archive in its character map', sentencepieceModel(archive)],
    ['an archive behind it', Buffer.concat([sentencepieceModel(), archive])],
    ['an archive in a piece', Buffer.concat([sentencepieceModel(), piece(archive)])],
    ['weights whose length is a tag', polyglot],
    ['a tar whose first name begins with a piece', tarOfModel()],
  ] as const)
    t.match(await put('tokenizer.model', bytes), { status: 422, reason: 'not_safetensors' }, what)
  t.same([...staged(server), ...blobsOf(server)], [], 'nothing stayed')
  t.equal((await server.put('acme/polyglot/1', polyglot)).status, 201, 'it is what it is elsewhere')
})

t.test('bombs of JSON cost a counter', async (t) => {
  const size = 32 * MIB
  for (const [what, bytes, status] of [
    ['brackets', Buffer.alloc(size, '['), 422],
    ['empty lists', Buffer.from(`[${'[],'.repeat(11_000_000)}[]]`), 201],
    ['a string of escapes', Buffer.from(`"${'\\u0000'.repeat(5_592_404)}"`), 201],
    ['32 MiB and a byte', Buffer.alloc(size + 1, '1'), 413],
  ] as const)
    t.equal(
      (await put('config.json', bytes, `open/bombs/${what.replaceAll(' ', '-')}`)).status,
      status,
      what,
    )
  const parens = await put('README.md', Buffer.alloc(size, '('))
  t.match(parens, { status: 422, looks_like: 'pickle' })
  t.same(staged(server), [])
})

t.test('what says it is UTF-8 is', async (t) => {
  for (const [what, bytes] of [
    ['a NUL', latin1('{"a": "\0"}')],
    ['UTF-16, little-endian', Buffer.from('\ufeff{"a": 1}', 'utf16le')],
    ['UTF-16, big-endian', latin1('\xfe\xff\0{\0}')],
    ['UTF-32', latin1('\xff\xfe\0\0{\0\0\0}\0\0\0')],
    ['an overlong quote', latin1('{"a\xc0\xa2: 1}')],
    ['an overlong NUL', latin1('["\xe0\x80\x80"]')],
    ['a surrogate', latin1('["\xed\xa0\xbd"]')],
    ['beyond Unicode', latin1('["\xf5\x80\x80\x80"]')],
    ['half a character at the end', latin1('["a"]\xc3')],
    ['an escape sequence', latin1('# \x1b]0;title\x07')],
    ['UTF-7', latin1('{"a": +ADw-script+AD4-}')],
  ] as const)
    for (const path of ['config.json', ...(what === 'UTF-7' ? [] : ['README.md'])])
      t.match(
        await put(path, bytes),
        { status: 422, reason: 'not_safetensors' },
        `${what} in ${path}`,
      )
  t.match(await put('config.json', latin1('\xef\xbb\xbf{}')), { status: 422 }, 'a mark before JSON')
})

t.test('a program is refused by its name, whatever it is called besides', async (t) => {
  for (const path of [
    ...[
      'modeling.py',
      'README.md.py',
      'config.json.pyc',
      'a.sh',
      'setup.cfg',
      'x.ipynb',
      'a.json5',
    ],
    ...['pytorch_model.bin', 'optimizer.pt', 'a.pkl', 'a.npy', 'a.md/x.py', 'config.json\u200b'],
    ...[
      'config.json ',
      'config.JSON',
      '\u202etxt.py',
      'a.txt.',
      'model.SAFETENSORS',
      'other.model',
    ],
  ])
    t.match(await put(path, Buffer.from('{}')), { status: 422, code: 'INVALID_SAFETENSORS' }, path)
})

t.test('markup comes out as octets to be saved', async (t) => {
  const page = Buffer.from('<!doctype html><script src="//evil.example/x.js"></script>\n')
  for (const path of ['README.md', 'index.txt', 'a/b.csv']) {
    const ref = `open/markup/${path.replaceAll('/', '-')}`
    t.equal((await put(path, page, ref)).status, 201)
    const answer = await server.request(fileUrl(ref, path))
    t.match(Object.fromEntries(answer.headers), {
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-disposition': /^attachment/,
    })
    t.ok(Buffer.from(await answer.arrayBuffer()).equals(page))
  }
})
