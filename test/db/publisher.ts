// A process to be killed: opens the ledger in the folder it is given, as the token `t`, and publishes one version after
// another, several at a time, saying which were acknowledged. With `hold` it only holds the ledger open.

import { openLedger } from '../../db/open.ts'
import { file, publication } from './fixture.ts'

const [folder = '', prefix = ''] = process.argv.slice(2)
const ledger = await openLedger({ folder, auditKey: undefined })
process.stdout.write('open\n')

const tensors = Array.from({ length: 50 }, (_, i) => ({ name: `layer.${i}` }))
async function publishForEver(lane: number): Promise<void> {
  for (let i = 0; ; i++) {
    const version = `${prefix}-${lane}-${i}`
    await ledger.publish(publication(version, { files: [file(version, { tensors })] }))
    process.stdout.write(`${version}\n`)
  }
}

if (prefix === 'hold') setInterval(() => undefined, 60_000)
else await Promise.all([0, 1, 2, 3].map((lane) => publishForEver(lane)))
