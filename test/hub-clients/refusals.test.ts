import t from 'tap'
import { asking, newToken } from '../../bench/hub-clients/fill.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { clients, drive } from './drive.ts'

t.test('what is refused is told in words that a user of huggingface_hub reads', async (t) => {
  const python = await clients(t)
  if (python === undefined) return
  const server = await startServer(t)
  const ask = asking(server.url, ADMIN)
  const token = await newToken(ask, 'writer', 'acme/*')
  const env = { READER: await newToken(ask, 'reader', 'acme/*') }
  await drive(t, python, 'refusals.py', server, { token, env })
})
