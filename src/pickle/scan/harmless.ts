// Names that checkpoints of trainers hold beside weights: classes and functions of plain data. A converter still doesn't
// know them, so that a file with one is refused; it isn't called an attack for it. What stands in no list is.

const MODULES: readonly RegExp[] = [
  /^argparse\.Namespace$/,
  /^collections\.(?:OrderedDict|defaultdict|Counter|deque)$/,
  /^(?:__builtin__|builtins)\.(?:set|frozenset|dict|list|tuple|int|float|str|bytes|bytearray|bool|complex|object|slice|range)$/,
  /^copy_?reg\._reconstructor$/,
  /^datetime\.(?:datetime|date|time|timedelta|timezone)$/,
  /^decimal\.Decimal$/,
  /^fractions\.Fraction$/,
  /^pathlib\.(?:Pure)?(?:Posix|Windows)?Path$/,
  /^torch\.jit\._pickle\.(?:build_\w+list|build_tensor_from_id|restore_type_tag)$/,
  /^uuid\.UUID$/,
  /^numpy\.(?:_?core\.multiarray\.(?:scalar|_reconstruct)|dtype|ndarray|_?core\.numeric\._frombuffer|bool_?|u?int\d+|float\d+|complex\d+|dtypes\.\w+DType|random\._pickle\.__\w+_ctor)$/,
  /^scipy\.sparse\.(?:\w+\.)?(?:csr|csc|coo)_(?:matrix|array)$/,
]

/** @param global `module.name` */
export const isHarmless = (global: string): boolean =>
  MODULES.some((pattern) => pattern.test(global))

/** Arguments that such a function calls. */
export const calledBy = (global: string): readonly number[] =>
  CALLED.find(([pattern]) => pattern.test(global))?.[1] ?? []

const CALLED: readonly (readonly [RegExp, readonly number[]])[] = [
  // function, type, arguments, attributes
  [/^torch\._tensor\._rebuild_from_type_v2$/, [0]],
  // class, base (whose __new__ and __init__ are called), state
  [/^copy_?reg\._reconstructor$/, [1]],
  // name or class, constructor
  [/^numpy\.random\._pickle\.__\w+_ctor$/, [0, 1]],
]

/** The argument that is a class of which an object is made, without its __init__; undefined where there is none. */
export const classOf = (global: string): number | undefined =>
  CLASSES.find(([pattern]) => pattern.test(global))?.[1]

const CLASSES: readonly (readonly [RegExp, number])[] = [
  [/^torch\._tensor\._rebuild_from_type_v2$/, 1],
  [/^torch\._utils\._rebuild_wrapper_subclass$/, 0],
  [/^copy_?reg\._reconstructor$/, 0],
  [/^numpy\._?core\.multiarray\._reconstruct$/, 0],
]

/** Mappings call `keys` of what they are made of, which an object may have been given. */
export const isMadeOfMapping = (global: string): boolean =>
  /^(?:collections\.(?:OrderedDict|defaultdict|Counter)|(?:__builtin__|builtins)\.dict)$/.test(global) // prettier-ignore
