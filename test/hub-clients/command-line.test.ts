import t from 'tap'
import { asking, newToken } from '../../bench/hub-clients/fill.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { clients, drive } from './drive.ts'

t.test('the command `hf` uploads, downloads and verifies', async (t) => {
  const python = await clients(t)
  if (python === undefined) return
  const server = await startServer(t)
  const token = await newToken(asking(server.url, ADMIN), 'writer', 'acme/*')
  await drive(t, python, 'command_line.py', server, { token })
})
