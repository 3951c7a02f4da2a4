import { join } from 'node:path'
import t from 'tap'
import { asking, fillForReading, newToken } from '../../bench/hub-clients/fill.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { clients, drive } from './drive.ts'

t.test('huggingface_hub reads what was published through the registry’s own API', async (t) => {
  const python = await clients(t)
  if (python === undefined) return
  const server = await startServer(t)
  const ask = asking(server.url, ADMIN)
  const env = await fillForReading(ask, join(server.folder, 'client'))
  const token = await newToken(ask, 'reader', 'acme/*')
  await drive(t, python, 'reading.py', server, { token, env })
})
