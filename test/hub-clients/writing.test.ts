import t from 'tap'
import { drive } from './drive.ts'

t.test('huggingface_hub writes by LFS, large files in parts, where Xet is disabled', (t) =>
  drive(t, 'writing.py', {
    env: { HF_HUB_DISABLE_XET: '1' },
    settings: { STRONGROOM_UPLOAD_PART_BYTES: '8MiB' },
  }),
)
