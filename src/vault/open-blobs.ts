import type { Vault } from './vault.ts'

/** A descriptor that several readers of one blob share; it closes when the last of them lets go. */
export interface SharedBlob {
  readonly fd: number
  readonly sizeBytes: number
  retain: () => void
  release: () => void
}

export interface OpenBlobs {
  /** Retained once for the caller; undefined when the vault has no such blob. */
  open: (vaultId: string) => Promise<SharedBlob | undefined>
}

/** A descriptor must outlive every read that a worker still has in hand, so it is counted, not owned. */
export function createOpenBlobs(vault: Vault): OpenBlobs {
  const known = new Map<string, Promise<SharedBlob | undefined>>()

  async function openShared(vaultId: string): Promise<SharedBlob | undefined> {
    const opened = await vault.open(vaultId)
    if (opened === undefined) {
      known.delete(vaultId)
      return undefined
    }
    let holders = 0
    return {
      fd: opened.fd,
      sizeBytes: opened.sizeBytes,
      retain: () => {
        holders += 1
      },
      release: () => {
        holders -= 1
        if (holders > 0) return
        known.delete(vaultId)
        void opened.close()
      },
    }
  }

  return {
    open: async (vaultId) => {
      let opening = known.get(vaultId)
      if (opening === undefined) {
        opening = openShared(vaultId)
        known.set(vaultId, opening)
        opening.catch(() => known.delete(vaultId))
      }
      const blob = await opening
      blob?.retain()
      return blob
    },
  }
}
