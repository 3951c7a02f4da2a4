import t from 'tap'
import { drive } from './drive.ts'

t.test('what is refused is told in words that a user of huggingface_hub reads', (t) =>
  drive(t, 'refusals.py'),
)
