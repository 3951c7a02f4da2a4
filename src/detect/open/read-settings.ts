import type {
  ClassifierSettings,
  DetectorSettings,
  HostSettings,
  ReadsText,
  SaeSettings,
  UnigramSettings,
  WordPieceSettings,
} from '../detector.ts'
import { membersOf, refuseAt } from './members.ts'
import type { Item, Members } from './members.ts'
import { parseJson } from './parse-json.ts'
import { readCategories, readGolden } from './read-decoding.ts'
import { readLabels } from './read-labels.ts'

// Limits of docs/detector-format.md. They hold before anything is allocated that a setting sizes.
const MAX_SETTINGS_BYTES = 1024 * 1024
const MAX_PIECES = 1_048_576
const MAX_SAE_WIDTH = 1_048_576
const MAX_WIDTH = 16_384
const MAX_CLASSIFIERS = 64
const MAX_DESCRIPTION = 500
const MAX_LANGUAGES = 200
/** Levels of objects and lists in `scores`: what shows them recurses. */
const MAX_SCORES_DEPTH = 16

/** Reads `strongroom.detector`. @throws DetectorRefused naming the member at fault */
export function readSettings(json: string): DetectorSettings {
  if (json.length > MAX_SETTINGS_BYTES || Buffer.byteLength(json) > MAX_SETTINGS_BYTES)
    refuseAt('settings', `take more than ${MAX_SETTINGS_BYTES} bytes`)
  const settings = membersOf({ value: parseJson(json, 'settings'), where: 'settings' })
  settings.integer('format', 1, 1)
  const text = readText(settings)
  const sae = readSae(settings.object('sae'), text?.host)
  const classifiers = settings.list('classifiers', 1, MAX_CLASSIFIERS).map(readClassifier)
  const decoding = readDecoding(settings.object('decoding'), classifiers, text?.host)
  const read = {
    description: settings.line('description', MAX_DESCRIPTION),
    languages: readLanguages(settings),
    text,
    sae,
    classifiers,
    decoding,
    golden: readGolden(settings, decoding.categories),
    scores: readScores(settings),
  }
  if (text === undefined && read.golden.length > 0)
    settings.refuse('is for detectors that read text', 'golden')
  settings.end()
  return read
}

function readText(settings: Members): ReadsText | undefined {
  if (!settings.has('host') && !settings.has('tokenizer')) return undefined
  const host = readHost(settings.object('host'))
  return { tokenizer: readTokenizer(settings.object('tokenizer'), host.pieces), host }
}

function readHost(host: Members): HostSettings {
  const features = hasFeatures(host)
  const read: HostSettings = {
    kind: host.choice('kind', ['bert']),
    layers: host.integer('layers', 1, 48),
    width: host.integer('width', 1, MAX_WIDTH),
    heads: host.integer('heads', 1, MAX_WIDTH),
    intermediate: host.integer('intermediate', 1, 65_536),
    pieces: host.integer('pieces', 1, MAX_PIECES),
    positions: host.integer('positions', 6, 8192),
    epsilon: host.number('epsilon', Number.MIN_VALUE, 1),
    features,
  }
  // The graph computes in f32, where a smaller one would be 0.
  if (Math.fround(read.epsilon) === 0) host.refuse('is 0 in f32', 'epsilon')
  if (read.width % read.heads !== 0) host.refuse(`does not divide ${read.width}`, 'heads')
  host.end()
  return read
}

function hasFeatures(host: Members): HostSettings['features'] {
  return host.isNull('features') ? undefined : host.choice('features', ['shape-gap'])
}

function readTokenizer(tokenizer: Members, pieces: number): UnigramSettings | WordPieceSettings {
  const kind = tokenizer.choice('kind', ['unigram', 'wordpiece'])
  const special = {
    begin: tokenizer.integer('begin', 0, pieces - 1),
    end: tokenizer.integer('end', 0, pieces - 1),
    unknown: tokenizer.integer('unknown', 0, pieces - 1),
  }
  const read =
    kind === 'unigram'
      ? { kind, ...special }
      : {
          kind,
          ...special,
          lowercase: tokenizer.boolean('lowercase'),
          stripAccents: tokenizer.boolean('strip_accents'),
          longestWord: tokenizer.integer('longest_word', 1, 1024),
        }
  tokenizer.end()
  return read
}

function readSae(sae: Members, host: HostSettings | undefined): SaeSettings {
  const architecture = sae.choice('architecture', ['relu', 'jumprelu', 'topk'])
  const dModel = sae.integer('d_model', 1, MAX_WIDTH)
  const width = sae.integer('width', 1, MAX_SAE_WIDTH)
  const rows = sae.integer('rows', 1, width)
  const isTopK = architecture === 'topk'
  const k = isTopK ? sae.integer('k', 1, Math.min(1024, rows)) : undefined
  if (isTopK && rows < width) sae.refuse('is less than width, which topk cannot have', 'rows')
  if (host !== undefined && dModel !== host.width)
    sae.refuse(`is ${dModel}, but the host's width ${host.width}`, 'd_model')
  sae.end()
  return { architecture, dModel, width, rows, k }
}

function readClassifier(item: Item): ClassifierSettings {
  const classifier = membersOf(item)
  const kind = classifier.choice('kind', ['logistic', 'trees'])
  const labels = readLabels(classifier)
  const read: ClassifierSettings =
    kind === 'logistic'
      ? { kind, link: classifier.choice('link', ['softmax', 'sigmoid']), labels }
      : {
          kind,
          link: classifier.choice('link', ['softmax', 'sigmoid', 'identity']),
          aggregate: classifier.choice('aggregate', ['sum', 'mean']),
          labels,
        }
  if (read.link === 'softmax' && labels.length < 2)
    classifier.refuse('of one label is always 1', 'link')
  classifier.end()
  return read
}

function readDecoding(
  decoding: Members,
  classifiers: readonly ClassifierSettings[],
  host: HostSettings | undefined,
): DetectorSettings['decoding'] {
  const window = decoding.integer('window', 4, (host?.positions ?? 8192) - 2)
  const overlap = decoding.integer('overlap', 0, window - 1)
  const labels = classifiers.flatMap((classifier) => classifier.labels)
  const categories = readCategories(decoding.object('categories'), labels)
  decoding.end()
  return { window, overlap, categories }
}

function readLanguages(settings: Members): string[] {
  const languages = settings.list('languages', 1, MAX_LANGUAGES).map(({ value, where }) => {
    if (typeof value !== 'string' || !/^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$/.test(value))
      return refuseAt(where, 'wants the code of a language')
    return value
  })
  if (new Set(languages).size < languages.length)
    settings.refuse('has a language twice', 'languages')
  return languages
}

/** Free of form, but for what JSON can't say again: numbers too large for a double, and endless depth. */
function readScores(settings: Members): Record<string, unknown> {
  const scores = settings.json('scores')
  const rest: { value: unknown; depth: number }[] = [{ value: scores, depth: 1 }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, depth } = next
    if (typeof value === 'number' && !Number.isFinite(value))
      settings.refuse('has a number that is not finite', 'scores')
    if (typeof value !== 'object' || value === null) continue
    if (depth > MAX_SCORES_DEPTH)
      settings.refuse(`is more than ${MAX_SCORES_DEPTH} levels deep`, 'scores')
    const children: unknown[] = Object.values(value)
    for (const child of children) rest.push({ value: child, depth: depth + 1 })
  }
  return scores
}
