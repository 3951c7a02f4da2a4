import t from 'tap'
import { killRounds } from './kill-rounds.ts'

t.test(
  'a server that is killed while it takes in several files at once keeps what it acknowledged, and nothing by halves',
  (t) => killRounds(t, ['a.safetensors', 'b/c.safetensors']),
)
