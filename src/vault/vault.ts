// What the registry asks of the place where bytes are kept. Ids are random: nothing in a vault says what a
// blob's hash is.

/** A blob in the making: nobody can open it before it is sealed. */
export interface Staged {
  readonly id: string
  /** Writes all of `bytes` at `position`, in bytes from the start. */
  write: (position: number, bytes: Uint8Array) => Promise<void>
  /** Pushes what was written so far towards the disk, so that the seal has little left to wait for. */
  flush: () => Promise<void>
  /** Durable under its id once this resolves; a failed sync is final and never tried again. */
  seal: () => Promise<void>
  /** Leaves nothing behind; also after a failed seal. */
  discard: () => Promise<void>
}

/** A file that is read and written here and there while a job goes on, and never becomes a blob by itself. */
export interface ScratchFile {
  readonly fd: number
  readonly sizeBytes: number
  append: (bytes: Uint8Array) => Promise<void>
  /** From its begin to its end, whoever wrote it. */
  read: () => AsyncIterable<Uint8Array>
  /** Lets go of the open file; what was written waits on the disk. */
  park: () => Promise<ParkedFile>
  /** Gives its bytes back to the disk. */
  discard: () => Promise<void>
}

/** A file in staging that is open only while it is read. */
export interface ParkedFile {
  /** So many bytes at a position; they must be there. */
  readAt: (position: number, length: number) => Promise<Uint8Array>
  /** From its begin to its end. */
  read: () => AsyncIterable<Uint8Array>
  discard: () => Promise<void>
}

/** A sealed blob, open for positioned reads by any thread of this process. */
export interface OpenBlob {
  readonly fd: number
  readonly sizeBytes: number
  close: () => Promise<void>
}

export interface Vault {
  stage: () => Promise<Staged>
  /** Undefined when there is no such blob, or something stands in its place that no vault wrote. */
  open: (id: string) => Promise<OpenBlob | undefined>
  /** Ids of all sealed blobs, in no order. */
  list: () => AsyncIterable<string>
  /** An empty file in staging, open to read and write; what is left of it is swept at the next start. */
  scratch: () => Promise<ScratchFile>
  /** Removing what isn't there is no error. */
  remove: (id: string) => Promise<void>
  /** Keeps the damaged bytes for a person to look at, out of everyone's reach. */
  quarantine: (id: string) => Promise<void>
  /** What was quarantined so far stays so after a power cut. */
  syncQuarantine: () => Promise<void>
  /** Removes what unfinished uploads of an earlier run left behind. */
  sweepStaging: () => Promise<number>
  /** Bytes that may still be written. */
  freeBytes: () => Promise<number>
  /** The vault's own random name, which its ledger remembers; undefined for a new vault. */
  identity: () => Promise<string | undefined>
  /** Names a new vault, durably. */
  identify: (identity: string) => Promise<void>
  /** Rejects when the vault can't be written; read, where it is only read. */
  ping: () => Promise<void>
}

/** The disk under the vault is full. */
export class VaultFull extends Error {
  override readonly name = 'VaultFull'
}
