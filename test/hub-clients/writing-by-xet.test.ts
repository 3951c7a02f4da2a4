import t from 'tap'
import { drive } from './drive.ts'

t.test('huggingface_hub writes by Xet, with no variable but the endpoint and the token', (t) =>
  drive(t, 'writing.py'),
)
