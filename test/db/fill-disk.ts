// Runs on a small disk of its own: publishes more tensors than it holds, then goes on with less.

import { statfsSync } from 'node:fs'
import { openLedger } from '../../db/open.ts'
import { addToken, file, publication } from './fixture.ts'

const [folder = ''] = process.argv.slice(2)
const ledger = await openLedger({ folder, auditKey: undefined })
await addToken(ledger)
await ledger.publish(publication('small'))
const tensors = Array.from({ length: 50_000 }, (_, i) => ({ name: `layer.${i}.weight` }))
const freeBefore = statfsSync(folder).bavail
const refusal: unknown = await ledger
  .publish(publication('huge', { files: [file('huge', { tensors })] }))
  .catch((error: unknown) => error)
const givenBack = statfsSync(folder).bavail >= freeBefore
const after = await ledger.publish(publication('after'))
const overview = await ledger.checkpoint('acme', 'bert')
const verdict = await ledger.verifyAudit()
await ledger.close()
const report = {
  refusedAs: refusal instanceof Error ? refusal.name : refusal,
  givenBack,
  aliveAfterwards: after.outcome === 'created',
  versions: overview?.versions.map(({ version }) => version),
  verdict,
}
process.stdout.write(JSON.stringify(report))
