import t from 'tap'
import { runJavascriptSteps } from '../../bench/hub-clients/javascript.ts'
import { assertSteps, startHub } from './drive.ts'

t.test('@huggingface/hub publishes and loads', async (t) => {
  const { setting } = await startHub(t)
  assertSteps(t, await runJavascriptSteps(setting))
})
