import t from 'tap'
import { drive } from './drive.ts'

t.test('huggingface_hub reads what was published through the registry’s own API', (t) =>
  drive(t, 'reading.py'),
)
