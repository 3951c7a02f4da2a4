import { posix } from 'node:path'

/** Endings under which pickles travel: what loads such a file runs what it says. */
const PICKLES = new Set([
  '.bin',
  '.pt',
  '.pth',
  '.ckpt',
  '.pkl',
  '.pickle',
  '.joblib',
  '.dill',
  '.mar',
  '.pt2',
  '.npy',
  '.npz',
])

/** Endings of programs. */
const PROGRAMS = new Set(['.py', '.pyc', '.ipynb', '.sh', '.so', '.dll', '.dylib', '.exe'])

/** Logs of TensorBoard, which trainers leave among what they push. */
const RUN_LOG = /^events\.out\.tfevents\./

export type NameVerdict =
  /** A file that no version holds, whatever is in it; a client that pushes a folder leaves it out. */
  | { readonly verdict: 'left_out'; readonly why: string }
  | { readonly verdict: 'refused'; readonly why: string }

/** What a path's name alone decides; undefined where it is for its content to say. */
export function judgeName(path: string): NameVerdict | undefined {
  // Windows leaves out dots and spaces at the end.
  const name = posix.basename(path).replace(/[. ]+$/, '')
  const extension = /\.[^.]*$/.exec(name)?.[0].toLowerCase() ?? ''
  if (PICKLES.has(extension))
    return {
      verdict: 'left_out',
      why: 'files of this kind are pickles or unchecked arrays, and loading a pickle runs the program in it; convert weights with `strongroom migrate`',
    }
  if (RUN_LOG.test(name)) return { verdict: 'left_out', why: 'logs of runs are not kept here' }
  if (PROGRAMS.has(extension))
    return {
      verdict: 'refused',
      why: 'programs are not kept here: only weights and what describes them',
    }
  return undefined
}
