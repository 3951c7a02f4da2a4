import { join } from 'node:path'
import t from 'tap'
import { asking, newToken } from '../../bench/hub-clients/fill.ts'
import { runJavascriptSteps } from '../../bench/hub-clients/javascript.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { assertSteps } from './drive.ts'

t.test('@huggingface/hub publishes and loads', async (t) => {
  const server = await startServer(t)
  const token = await newToken(asking(server.url, ADMIN), 'writer', 'acme/*')
  const folder = join(server.folder, 'client')
  const setting = { endpoint: server.url, token: `hf_${token}`, folder }
  assertSteps(t, await runJavascriptSteps(setting))
})
