import t from 'tap'
import { asking, newToken } from '../../bench/hub-clients/fill.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { clients, drive } from './drive.ts'

const WAYS = {
  'by LFS, where Xet is disabled': { HF_HUB_DISABLE_XET: '1' },
  'by Xet, with no variable but the endpoint': {},
}

for (const [way, env] of Object.entries(WAYS)) {
  t.test(`huggingface_hub writes ${way}`, async (t) => {
    const python = await clients(t)
    if (python === undefined) return
    const server = await startServer(t)
    const token = await newToken(asking(server.url, ADMIN), 'writer', 'acme/*')
    await drive(t, python, 'writing.py', server, { token, env })
  })
}
