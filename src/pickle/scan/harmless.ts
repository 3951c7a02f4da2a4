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
  /^uuid\.UUID$/,
  /^numpy\.(?:_?core\.multiarray\.(?:scalar|_reconstruct)|dtype|ndarray|_?core\.numeric\._frombuffer|bool_?|u?int\d+|float\d+|complex\d+|dtypes\.\w+DType|random\._pickle\.__\w+_ctor)$/,
  /^scipy\.sparse\.[\w.]*(?:csr|csc|coo)_(?:matrix|array)$/,
]

/** @param global `module.name` */
export const isHarmless = (global: string): boolean =>
  MODULES.some((pattern) => pattern.test(global.replace(/\.__(?:setstate|dict)__$/, '')))
