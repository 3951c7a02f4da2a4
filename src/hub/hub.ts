import type { Ledger } from '../../db/ledger.ts'
import type { Config } from '../config.ts'
import type { Publish } from '../registry/publish.ts'
import type { FindStanding } from '../registry/standing-copy.ts'
import type { Admit } from '../vault/admit.ts'
import type { Vault } from '../vault/vault.ts'
import { type Assemblies, createAssemblies } from './assemblies.ts'
import { type Commit, createCommit } from './commit.ts'
import { createGrants, type Grants } from './grants.ts'
import { createHoldings, type Holdings } from './held.ts'
import type { Spool } from './json-lines.ts'
import { createRoom } from './room.ts'
import { createStage, type Stage } from './stage.ts'
import { createXetSessions, type XetSessions } from './xet-sessions.ts'

/** What the clients of the Hugging Face Hub need beside the registry: files before the version that names them. */
export interface Hub {
  readonly stage: Stage
  readonly commit: Commit
  readonly grants: Grants
  readonly holdings: Holdings
  readonly assemblies: Assemblies
  readonly xet: XetSessions
  /** A place for a file that stands in the middle of something else. */
  readonly openSpool: () => Promise<Spool>
  readonly close: () => Promise<void>
}

const COLLECT_EVERY_MS = 600_000

export function createHub(parts: {
  readonly config: Config
  readonly ledger: Ledger
  readonly vault: Vault
  readonly admit: Admit
  readonly publish: Publish
  readonly findStanding: FindStanding
  readonly roomBytes: () => Promise<number>
  readonly onFailure: (error: unknown) => void
}): Hub {
  const { config, ledger, vault, admit, publish, findStanding, roomBytes, onFailure } = parts
  const keptMs = config.UPLOAD_KEPT_MS
  const reserveRoom = createRoom(roomBytes)
  const holdings = createHoldings(ledger, vault)
  const stage = createStage({ ledger, vault, admit, findStanding, keptMs })
  const assemblies = createAssemblies({
    vault,
    stage,
    reserveRoom,
    keptMs,
    wholeBytes: config.UPLOAD_PART_BYTES,
  })

  const xet = createXetSessions({
    vault,
    stage,
    reserveRoom,
    isHeld: ({ principal, checkpoint }, sha256, sizeBytes) =>
      holdings.hasWeights(principal.tokenId, checkpoint, sha256, sizeBytes),
    maxFiles: config.MAX_FILES,
    memoryBytes: config.XET_MEMORY_BYTES,
    keptMs: config.UPLOAD_GRANT_MS,
  })

  /** Lets go of what was uploaded and never committed. */
  async function collect(): Promise<void> {
    try {
      for (;;) {
        const ids = await ledger.collectUploads(new Date().toISOString())
        for (const id of ids) await vault.remove(id)
        if (ids.length === 0) return
      }
    } catch (error) {
      onFailure(error)
    }
  }
  const timer = setInterval(() => void collect(), Math.min(COLLECT_EVERY_MS, keptMs))
  timer.unref()

  return {
    stage,
    commit: createCommit({ ledger, holdings, stage, publish, xet, maxFiles: config.MAX_FILES }),
    grants: createGrants(config.UPLOAD_GRANT_MS),
    holdings,
    assemblies,
    xet,
    openSpool: () => vault.scratch(),
    close: async () => {
      clearInterval(timer)
      await assemblies.close()
      await xet.close()
    },
  }
}
