import t from 'tap'
import { judgeName } from '../../src/hub/refused-names.ts'

const NAMES: Readonly<Record<string, string | undefined>> = {
  'pytorch_model.bin': 'left_out',
  'a/b/training_args.bin': 'left_out',
  'optimizer.PT': 'left_out',
  'rng_state_0.pth': 'left_out',
  'x.tar.pkl': 'left_out',
  'x.pkl.': 'left_out',
  'x.bin ': 'left_out',
  '.pt': 'left_out',
  'x.PY. .': 'refused',
  'weights.npz': 'left_out',
  'runs/events.out.tfevents.1700000000.host.1.0': 'left_out',
  'modeling_custom.py': 'refused',
  'Notebook.IPYNB': 'refused',
  'lib.so': 'refused',
  'model.safetensors': undefined,
  'config.json': undefined,
  'tokenizer.model': undefined,
  bin: undefined,
  'model.bin.safetensors': undefined,
  'pickle/config.json': undefined,
  'events.out.tfevents.d/config.json': undefined,
  'python.py.md': undefined,
}
for (const [path, verdict] of Object.entries(NAMES))
  t.test(`${path}: ${verdict ?? 'for its content to say'}`, async (t) => {
    t.equal(judgeName(path)?.verdict, verdict)
  })
