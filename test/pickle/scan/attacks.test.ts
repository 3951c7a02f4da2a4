import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join as pathOf } from 'node:path'
import t from 'tap'
import { call, checkpoint, dict, get, global, int, join, little, pickle, put, tensor, text, tuple } from '../../../bench/fuzz-pickle/assembler.ts' // prettier-ignore
import { scan } from '../../../src/pickle/scan/report.ts'
import { sourceOfBytes } from '../../../src/pickle/source.ts'
import { refused } from '../converting.ts'

// Ways to make Python run something while it reads a pickle: here it makes a folder, or a file. Whatever is done, it is an attack.

const MKDIR = global('os', 'mkdir')
const NAMESPACE = join(global('argparse', 'Namespace'), ')\x81')
const later = (...code: readonly (string | Uint8Array)[]): Buffer => join('\x80\x04', ...code, '.')
const bare = (...code: readonly (string | Uint8Array)[]): Buffer => join(...code, '.')
/** Attributes of what is on top. */
const built = (name: string, value: Uint8Array): Buffer => join('}', text(name), value, 'sb')

type Attack = (made: string) => Buffer

/** As CPython reads them. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  'a call': (made) => pickle(MKDIR, text(made), '\x85R'),
  'protocol 0': (made) => bare('cos\nmkdir\n(S', `'${made}'`, '\ntR'),
  'a value before, of no protocol': (made) => bare('N0', MKDIR, text(made), '\x85R'),
  'a number before, of no protocol': (made) => bare('F1.5\n0', MKDIR, text(made), '\x85R'),
  INST: (made) => bare('(', text(made), 'ios\nmkdir\n'),
  OBJ: (made) => pickle('(', MKDIR, text(made), 'o'),
  'a name from the stack': (made) => later(text('os'), text('mkdir'), '\x93', text(made), '\x85R'),
  'a name with dots': (made) => later(text('argparse'), text('_os.mkdir'), '\x93', text(made), '\x85R'), // prettier-ignore
  'a name in escapes of UNICODE': (made) => later('V\\u006fs\nVmk\\U00000064ir\n\x93', text(made), '\x85R'), // prettier-ignore
  'a name in escapes of STRING': (made) => later("S'\\x6fs'\nS'mk\\144ir'\n\x93", text(made), '\x85R'), // prettier-ignore
  'an attribute': (made) =>
    pickle(global('builtins', 'getattr'), global('argparse', '_os'), text('mkdir'), '\x86R', text(made), '\x85R'), // prettier-ignore
  'a name of Python 2': (made) => pickle(call('commands', 'getoutput', text(`mkdir ${made}`))),
  'a partial function': (made) => pickle(call('functools', 'partial', MKDIR, text(made)), ')R'),
  'a partial function, made as an object': (made) =>
    pickle(global('functools', 'partial'), MKDIR, text(made), '\x86\x81)R'),
  'the name twice on the stack': (made) => pickle(MKDIR, '2', text(made), '\x85R'),
  'the name kept': (made) => pickle(put(7, MKDIR), '0', get(7), text(made), '\x85R'),
  'the name kept under a number with a sign and underscores': (made) =>
    pickle(MKDIR, 'p 1_0\n0g+10\n', text(made), '\x85R'),
  'the name kept by MEMOIZE': (made) => later(text('x'), '\x94', MKDIR, '\x940h\x01', text(made), '\x85R'), // prettier-ignore
  'a frame that ends early': (made) => later('\x95', little(1, 8), MKDIR, text(made), '\x85R'),
  'a text that is no text': (made) => pickle('X\x03\0\0\0\xed\xa0\x800', MKDIR, text(made), '\x85R'), // prettier-ignore
  'a long text': (made) => pickle(text('a'.repeat(2 ** 21)), '0', MKDIR, text(made), '\x85R'),
  'a long line': (made) => pickle('V', 'a'.repeat(2 ** 21), '\n0', MKDIR, text(made), '\x85R'),
  'a long number': (made) => pickle('\x8b', little(5000, 4), '\x01'.repeat(5000), '0', MKDIR, text(made), '\x85R'), // prettier-ignore
  'a mark that POP takes': (made) => pickle('(0', MKDIR, text(made), '\x85R'),
  'a second pickle': (made) => join(pickle('N'), pickle(MKDIR, text(made), '\x85R')),
  'a second pickle of no protocol': (made) => join('N.', bare('N0', MKDIR, text(made), '\x85R')),
  'what follows the call is broken': (made) => join('\x80\x02', MKDIR, text(made), '\x85R\xff'),
  'an attribute that BUILD calls': (made) =>
    pickle(NAMESPACE, built('__setstate__', MKDIR), text(made), 'b'),
  'an attribute of a class that BUILD calls': (made) =>
    pickle(global('argparse', 'Namespace'), 'N}', text('__setstate__'), MKDIR, 's\x86b0', NAMESPACE, text(made), 'b'), // prettier-ignore
  'an attribute of what is known that BUILD calls': (made) =>
    pickle(call('collections', 'OrderedDict'), built('__setstate__', MKDIR), text(made), 'b'),
  'an attribute that APPEND calls': (made) =>
    pickle(NAMESPACE, built('append', MKDIR), text(made), 'a'),
  'an attribute that APPENDS calls': (made) =>
    pickle(NAMESPACE, built('append', MKDIR), '(', text(made), 'e'),
  'an attribute that ADDITEMS calls': (made) =>
    later(NAMESPACE, built('add', MKDIR), '(', text(made), '\x90'),
  'an attribute that a mapping calls': (made) => {
    const keys = join(global('functools', 'partial'), MKDIR, text(made), '\x86\x81')
    return pickle(put(0, join(NAMESPACE, built('keys', keys))), '0', global('collections', 'OrderedDict'), get(0), '\x85R') // prettier-ignore
  },
  'a base class that is initialised': (made) => {
    const handler = global('logging', 'FileHandler')
    return pickle(call('copyreg', '_reconstructor', handler, handler, text(made)))
  },
  'names beyond number before it': (made) =>
    pickle(join(global('argparse', 'Namespace'), ')\x810').toString('latin1').repeat(1100), MKDIR, text(made), '\x85R'), // prettier-ignore
  'the environment': (made) =>
    pickle(global('os', 'environ'), text('STRONGROOM'), text(made), 's0', MKDIR, text(made), '\x85R'), // prettier-ignore
  'bytes that are a pickle': (made) =>
    pickle(call('_pickle', 'loads', call('_codecs', 'encode', text(pickle(MKDIR, text(made), '\x85R').toString('latin1')), text('latin1')))), // prettier-ignore
}

/** The same where Python must have PyTorch, NumPy or another module first. */
const OTHERS: Readonly<Record<string, Attack>> = {
  'a function that rebuilds': (made) =>
    pickle(call('torch._tensor', '_rebuild_from_type_v2', MKDIR, global('torch', 'Tensor'), tuple(text(made)), '}')), // prettier-ignore
  'an object that rebuilds': () => {
    const callable = join(global('joblib.parallel', 'BatchedCalls'), ')\x81}b')
    return pickle(call('torch._tensor', '_rebuild_from_type_v2', callable, global('torch', 'Tensor'), ')', '}')) // prettier-ignore
  },
  'a constructor of random numbers': (made) =>
    pickle(call('numpy.random._pickle', '__generator_ctor', text(made), MKDIR)),
  'a function among the arguments': (made) =>
    pickle(call('collections', 'defaultdict', put(0, MKDIR)), text(made), 'Ns'),
  'modules that are loaded': () => pickle(global('sys', 'modules'), text('os'), 'Ns'),
  'a list of a module': () => pickle(global('sys', 'path'), text('/tmp'), 'a'),
  'an extension of copyreg': (made) => pickle('\x82\x01', text(made), '\x85R'),
  'a name of no text': () => later(int(1), int(2), '\x93)R'),
  'what a known function gave': () => pickle(call('torch', 'device', text('cpu')), ')R'),
}

t.test('whatever makes Python run something is dangerous, and converts to nothing', async (t) => {
  for (const [what, attack] of Object.entries({ ...ATTACKS, ...OTHERS })) {
    const bytes = attack('/tmp/made')
    t.equal(scan(sourceOfBytes(bytes)).verdict, 'dangerous', what)
    t.not(refused(bytes), 'not refused', what)
    const code = bytes.subarray(bytes[0] === 0x80 ? 2 : 0, -1)
    t.not(refused(checkpoint(dict({ w: tensor(), x: code }))), 'not refused', what)
  }
})

/** Each in a process of its own: some change classes for good. */
const LOAD = `
import os, pickle, sys, warnings
warnings.simplefilter('ignore')
for path in sys.argv[1:]:
    if os.fork() == 0:
        try:
            with open(path, 'rb') as file:
                while True: pickle.load(file)
        except Exception:
            os._exit(0)
    os.wait()
`

t.test('Python does run something for each of these', async (t) => {
  const folder = t.testdir()
  const attacks = Object.entries(ATTACKS)
  for (const [i, [, attack]] of attacks.entries())
    writeFileSync(pathOf(folder, `${i}.pkl`), attack(pathOf(folder, `made-${i}`)))
  const paths = attacks.map((_, i) => pathOf(folder, `${i}.pkl`))
  const run = spawnSync('python3', ['-c', LOAD, ...paths], { encoding: 'utf8' })
  if (run.error !== undefined) {
    t.comment('NOT COMPARED: there is no python3 on this machine')
    return
  }
  t.equal(run.status, 0, run.stderr)
  for (const [i, [what]] of attacks.entries())
    t.ok(existsSync(pathOf(folder, `made-${i}`)), `it made something by ${what}`)
})

t.test('objects of classes, as honest picklers write them, are no attack', async (t) => {
  const module = join(global('torch.nn.modules.linear', 'Linear'), ')\x81', dict({ training: '\x88', act: global('torch.nn.functional', 'gelu') }), 'b') // prettier-ignore
  const old = join(call('copy_reg', '_reconstructor', global('a.b', 'C'), global('__builtin__', 'object'), 'N'), '}b') // prettier-ignore
  const ordered = join(call('collections', 'OrderedDict'), text('a'), 'Ns', dict({ _metadata: '}' }), 'b') // prettier-ignore
  const array = join(call('numpy.core.multiarray', '_reconstruct', global('a', 'Subclass'), tuple(int(0)), 'C\x01b'), tuple(int(1)), 'b') // prettier-ignore
  const random = call('numpy.random._pickle', '__generator_ctor', text('PCG64'), global('numpy.random._pickle', '__bit_generator_ctor')) // prettier-ignore
  const deque = join(call('collections', 'deque'), '(', int(1), int(2), 'e')
  for (const code of [module, old, ordered, array, random, deque])
    t.equal(scan(sourceOfBytes(pickle(code))).verdict, 'refused')
})
