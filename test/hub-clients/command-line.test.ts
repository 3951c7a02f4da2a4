import t from 'tap'
import { drive } from './drive.ts'

t.test('the command `hf` uploads, downloads and verifies', (t) => drive(t, 'command_line.py'))
