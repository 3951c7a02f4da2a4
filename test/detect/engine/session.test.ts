import t from 'tap'
import { refuseDevice } from '../../../src/detect/engine/probe.ts'
import { operatorsElsewhere } from '../../../src/detect/engine/session.ts'
import { parseDetector } from '../../../src/detect/detector-ref.ts'

t.test('the operators that ran elsewhere are read off the engine’s profile', (t) => {
  const node = (op_name: string, provider: string) => ({ args: { op_name, provider } })
  const profile = JSON.stringify([
    { name: 'session_initialization' },
    node('MatMul', 'CUDAExecutionProvider'),
    node('TreeEnsembleRegressor', 'CPUExecutionProvider'),
    node('Gather', 'CPUExecutionProvider'),
    node('Gather', 'CPUExecutionProvider'),
    { args: {} },
  ])
  t.strictSame(operatorsElsewhere(profile, 'cuda'), ['Gather', 'TreeEnsembleRegressor'])
  t.strictSame(operatorsElsewhere('[]', 'webgpu'), [])
  t.end()
})

t.test('a device that is named and doesn’t run is told before anything starts', async (t) => {
  const DETECTOR = parseDetector('acme/tiny@production')
  t.equal(await refuseDevice({ DETECTOR, DEVICE: 'cpu' }), undefined)
  t.equal(await refuseDevice({ DETECTOR, DEVICE: 'auto' }), undefined)
  t.equal(await refuseDevice({ DETECTOR: undefined, DEVICE: 'cuda' }), undefined, 'nobody needs it')
  const refused = await refuseDevice({ DETECTOR, DEVICE: 'cuda' })
  if (refused === undefined)
    t.comment('THERE IS A GPU HERE: WHAT IS SAID WITHOUT ONE WAS NOT TRIED')
  else t.match(refused, /^STRONGROOM_DEVICE is cuda, which doesn’t run here: ./)
})
