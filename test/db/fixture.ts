import Database from 'better-sqlite3'
import { createHash, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Test } from 'tap'
import type {
  Ledger,
  NewBlob,
  NewToken,
  Publication,
  PublishedFile,
  TensorColumns,
} from '../../db/ledger.ts'
import { openLedger } from '../../db/open.ts'

export const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
const hexOf = (text: string): string => sha256(text).toString('hex')

/** Opens the ledger in a folder and closes it with the test. */
export async function openAt(t: Test, folder: string, auditKey?: Uint8Array): Promise<Ledger> {
  const ledger = await openLedger({ folder, auditKey })
  t.teardown(() => ledger.close())
  return ledger
}

/** The ledger's file, as someone with a shell would open it. */
export function tamper(folder: string, sql: string): void {
  const db = new Database(join(folder, 'strongroom.db'))
  db.exec(sql)
  db.close()
}

export const token = (id: string, fields: Partial<NewToken> = {}): NewToken => ({
  id,
  sha256: sha256(id),
  name: `${id}'s name`,
  role: 'writer',
  scope: '*',
  createdBy: undefined,
  expiresAt: undefined,
  ...fields,
})

/** Makes the token `t`: a writer of everything, unless told otherwise. */
export const addToken = (ledger: Ledger, id = 't', fields: Partial<NewToken> = {}) =>
  ledger.createToken(token(id, fields), { action: 'token.create', outcome: 'ok' })

export interface TensorSpec {
  readonly name: string
  readonly shape?: readonly number[]
}

export function columnsOf(tensors: readonly TensorSpec[]): TensorColumns {
  const names = tensors.map(({ name }) => Buffer.from(name))
  const shapes = tensors.map(({ shape = [2, 3] }) => shape)
  const endsOf = (lengths: readonly number[]) => {
    let end = 0
    return Uint32Array.from(lengths, (length) => (end += length))
  }
  return {
    count: tensors.length,
    names: Uint8Array.from(Buffer.concat(names)),
    nameEnds: endsOf(names.map((name) => name.length)),
    dtypes: new Uint8Array(tensors.length),
    dtypeNames: ['F32'],
    dims: Float64Array.from(shapes.flat()),
    dimEnds: endsOf(shapes.map((shape) => shape.length)),
    begins: Float64Array.from(tensors, (_, i) => i * 24),
    ends: Float64Array.from(tensors, (_, i) => i * 24 + 24),
    digests: Uint8Array.from(Buffer.concat(names.map((name) => sha256(name.toString())))),
    statistics: undefined,
  }
}

interface FileSpec {
  readonly path?: string
  readonly tensors?: readonly TensorSpec[]
  readonly chunkSize?: number
  readonly size?: number
}

/** A file with bytes of its own: `content` stands for them, and each call proves another copy of them. */
export function file(
  content: string,
  { path = 'model.safetensors', tensors = [], chunkSize = 4, size = 10 }: FileSpec = {},
): PublishedFile & { readonly blob: NewBlob } {
  const leaves = Array.from({ length: Math.ceil(size / chunkSize) }, (_, i) =>
    sha256(`${content} ${chunkSize} ${i}`),
  )
  const blob = {
    vaultId: randomUUID(),
    kind: 'safetensors' as const,
    chunkSize,
    leaves: Uint8Array.from(Buffer.concat(leaves)),
    metadata: { content },
    parameters: tensors.length * 6,
    tensors: columnsOf(tensors),
  }
  return { path, sha256: hexOf(content), size, blob }
}

/** The checkpoint that publications are of, unless told otherwise. */
export const BERT = { owner: 'acme', name: 'bert' } as const

export const NOTHING_ASKED = {
  serials: { owner: undefined, checkpoint: undefined },
  finite: false,
  sameTensorsAs: undefined,
}

/** A publication of `acme/bert`, whose revision follows from its content as the registry's does. */
export function publication(version: string, fields: Partial<Publication> = {}): Publication {
  const { owner = 'acme', name = 'bert', files = [file(version)], metadata = {} } = fields
  const content = files.map((one) => [one.path, one.sha256])
  return {
    tokenId: 't',
    roles: ['writer', 'admin'],
    owner,
    name,
    version,
    revision: hexOf(JSON.stringify([owner, name, version, content, metadata])),
    metadata,
    warnings: [],
    files,
    address: '192.0.2.1',
    asked: NOTHING_ASKED,
    ...fields,
  }
}
