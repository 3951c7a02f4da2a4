import type { PolicyLevels, PolicyRules } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import type { CheckpointName } from './names.ts'

/** What holds for a checkpoint: every key has its value. */
export type Policy = Required<PolicyRules>

/** What holds where nothing is said. */
const NOTHING_ASKED: Policy = {
  require_metadata: [],
  expect_metadata: {},
  same_tensors_as: null,
  finite: false,
  sidecars: false,
  max_size: null,
  protected_tags: [],
  require_signature: false,
}

/** The nearest level wins, key by key. */
export const effective = ({ owner, checkpoint }: PolicyLevels): Policy => ({
  ...NOTHING_ASKED,
  ...owner?.rules,
  ...checkpoint?.rules,
})

/** The policy in force for a checkpoint, which needn't exist yet. */
export async function policyFor(ledger: Ledger, { owner, name }: CheckpointName): Promise<Policy> {
  return effective(await ledger.policies(owner, name))
}
