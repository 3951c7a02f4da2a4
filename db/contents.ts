import type { Database } from 'better-sqlite3'
import { writeBlobs, type Upserted } from './blobs.ts'
import type { NewBlob, PublishedFile } from './ledger.ts'
import { writeTensors } from './tensors.ts'

/** Gives the bytes of a file, and the tensors in them, their rows. */
export function writeContents(db: Database) {
  const blobs = writeBlobs(db)
  const tensors = writeTensors(db)
  return (file: PublishedFile & { readonly blob: NewBlob }, now: string): Upserted => {
    const blob = blobs.put(file, file.blob, now)
    if (blob.isNew && file.blob.tensors) tensors.insert(blob.id, file.sha256, file.blob.tensors)
    if (blob.lacksStatistics && file.blob.tensors)
      tensors.addStatistics(blob.id, file.sha256, file.blob.tensors)
    return blob
  }
}
