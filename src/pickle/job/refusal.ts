import { type ConversionRefused, UnknownClass } from '../refused.ts'
import { SCAN_LIMITS } from '../scan/limits.ts'
import { isAttack, picklesIn, type ScanFinding } from '../scan/scan.ts'
import type { Source } from '../source.ts'
import type { Refusal } from './messages.ts'

/** What is told of a file that isn't converted: what it would have called, or else why it isn't. */
export function refusalOf(error: ConversionRefused, source: Source): Refusal {
  const { findings } = picklesIn(source, SCAN_LIMITS)
  const called = findings.find(isAttack)
  const why = called === undefined ? error.message : callOf(called)
  const isModule = called === undefined && /^torch\.nn\./.test(error.message)
  const advice = findings.some(isClassifier) ? CLASSIFIER_ADVICE : isModule ? MODULE_ADVICE : ''
  return {
    reason: called === undefined ? error.reason : 'pickle',
    message: advice === '' ? why : `${why.replace(/\.$/, '')}. ${advice}`,
    findings,
    isForUnknownClass: called === undefined && error instanceof UnknownClass && !isModule,
  }
}

const callOf = ({ entry, global, offset, via }: ScanFinding): string =>
  `${entry === '' ? 'the pickle' : entry} calls ${global} at byte ${offset} (${via}). Nothing was executed.`

/** Of libraries that keep their models as pickles, by themselves or through joblib. */
const isClassifier = ({ global }: ScanFinding): boolean =>
  /^(?:sklearn|joblib|lightgbm|xgboost|catboost)\./.test(global)

const MODULE_ADVICE =
  'It holds a whole module, which only its own code could rebuild: save its state_dict() instead.'

const CLASSIFIER_ADVICE =
  'It is a classifier, which a pickle can only rebuild by running code: where it is trusted, have `training/export_classifiers.py` write it as safetensors that a detector reads (docs/bring-your-own-sae.md).'
