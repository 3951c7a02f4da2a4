import type { OpenBlob, Vault } from './vault.ts'

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

interface Opening {
  readonly opened: Promise<OpenBlob | undefined>
  holders: number
}

/** A descriptor must outlive every read that a worker still has in hand, so it is counted, not owned. */
export function createOpenBlobs(vault: Vault): OpenBlobs {
  const known = new Map<string, Opening>()

  function start(vaultId: string): Opening {
    const opening = { opened: vault.open(vaultId), holders: 0 }
    known.set(vaultId, opening)
    return opening
  }

  function letGo(vaultId: string, opening: Opening): boolean {
    opening.holders -= 1
    if (opening.holders > 0) return false
    known.delete(vaultId)
    return true
  }

  return {
    open: async (vaultId) => {
      const opening = known.get(vaultId) ?? start(vaultId)
      // Counted before anything is awaited: whoever holds it now may be the last to, and let go meanwhile.
      opening.holders += 1
      let blob: OpenBlob | undefined
      try {
        blob = await opening.opened
      } finally {
        if (blob === undefined) letGo(vaultId, opening)
      }
      if (blob === undefined) return undefined
      const { fd, sizeBytes, close } = blob
      return {
        fd,
        sizeBytes,
        retain: () => {
          opening.holders += 1
        },
        release: () => {
          if (letGo(vaultId, opening)) void close()
        },
      }
    },
  }
}
