import t from 'tap'
import { killRounds } from './kill-rounds.ts'

t.test(
  'a server that is killed while it takes in one file keeps what it acknowledged, and nothing by halves',
  (t) => killRounds(t, ['model.safetensors']),
)
