import { readdirSync, readFileSync, chmodSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, type TestServer } from '../helpers/server.ts'

// What the attacks share: files to publish, a hand in the vault and in the ledger, and a socket without manners.

export const MIB = 1024 * 1024

/** Numbers from 0 to 1, the same for the same seed (mulberry32): an attack that worked can be run again. */
export function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), 1 | state)
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A valid file of about `sizeBytes`, in four tensors, another one for each seed. */
export function weights(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const roll = dice(seed)
  const each = Math.floor(sizeBytes / 4)
  const tensors = ['embed', 'layer.0', 'layer.1', 'head'].map((name) => {
    const words = new Uint32Array(Math.ceil(each / 4))
    for (let i = 0; i < words.length; i++) words[i] = roll() * 2 ** 32
    return { name, dtype: 'U8', shape: [each], bytes: new Uint8Array(words.buffer, 0, each) }
  })
  return writeSafetensors(tensors, { seed: String(seed) })
}

interface Problem {
  readonly status: number
  readonly code?: string
  readonly reason?: string
  readonly looks_like?: string
  readonly what?: string
  readonly errors?: readonly unknown[]
}

/** The status of an answer, with what its problem says. */
export async function verdict(response: Response): Promise<Problem> {
  const body = (await response.json()) as Partial<Problem>
  return { ...body, status: response.status }
}

export const fileUrl = (ref: string, path = 'model.safetensors'): string =>
  `/v1/checkpoints/${ref}/files/${path}`

/** The whole of a file as a reader gets it, or how it was kept from it. */
export async function read(
  server: TestServer,
  ref: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; bytes: Buffer | undefined; code: string | undefined }> {
  const answer = await server.request(fileUrl(ref), { token: ADMIN, headers })
  const { status } = answer
  try {
    const bytes = Buffer.from(await answer.arrayBuffer())
    if (answer.ok) return { status, bytes, code: undefined }
    return { status, bytes: undefined, code: (JSON.parse(String(bytes)) as Problem).code }
  } catch {
    // fetch rejects when fewer bytes come than Content-Length says.
    return { status, bytes: undefined, code: 'CUT_OFF' }
  }
}

/** The file in the vault in which a version's first file lies. */
export async function whereInVault(server: TestServer, ref: string): Promise<string> {
  const { ledger } = server.strongroom
  const [owner = '', name = '', version = ''] = ref.split('/')
  const found = await ledger.resolve(owner, name, version)
  const [file] = found === undefined ? [] : await ledger.filesOf(found.version.id)
  const id = file?.blob.vaultId ?? ''
  return join(server.folder, 'data/vault/blobs', id.slice(0, 2), id)
}

/** Changes a sealed file behind the server's back, in place: descriptors that are open see it. */
export function deface(path: string, change: (bytes: Buffer) => Uint8Array): void {
  const bytes = readFileSync(path)
  chmodSync(path, 0o600)
  writeFileSync(path, change(bytes))
}

/** Flips one bit. */
export const flip =
  (position: number, bit = 0) =>
  (bytes: Buffer): Buffer => {
    bytes[position] = (bytes[position] ?? 0) ^ (1 << bit)
    return bytes
  }

export const ledgerOf = (server: TestServer): string => join(server.folder, 'data/ledger')

/** Uploads that are under way, or that left something behind. */
export const staged = (server: TestServer): readonly string[] =>
  readdirSync(join(server.folder, 'data/vault/staging'))

/** Names of all files below the shelves. */
export const blobsOf = (server: TestServer): readonly string[] =>
  readdirSync(join(server.folder, 'data/vault/blobs'), {
    recursive: true,
    encoding: 'utf8',
  }).filter((path) => path.includes('/'))

/** A connection that says what it likes. */
export interface Caller {
  readonly send: (...parts: readonly (string | Uint8Array)[]) => Promise<void>
  /** All that came so far. */
  readonly heard: () => Buffer
  /** Resolves once `text` has come, or nothing will any more. */
  readonly until: (text: string) => Promise<string>
  /** All that ever came. */
  readonly closed: Promise<Buffer>
  readonly pause: () => void
  readonly resume: () => void
  readonly hangUp: () => void
}

export function call({ url }: TestServer): Caller {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const pieces: Buffer[] = []
  const heard = (): Buffer => Buffer.concat(pieces)
  const closed = new Promise<Buffer>((resolve) => {
    socket.once('close', () => {
      resolve(heard())
    })
  })
  socket.on('data', (piece) => pieces.push(piece))
  // A reset is one of the answers.
  socket.on('error', () => undefined)
  return {
    send: (...parts) =>
      new Promise((resolve) => {
        if (socket.destroyed) resolve()
        else
          socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))), () => {
            resolve()
          })
      }),
    heard,
    until: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          const all = heard().toString('latin1')
          if (!all.includes(text)) return
          socket.removeListener('data', look)
          resolve(all)
        }
        socket.on('data', look)
        look()
        void closed.then((all) => {
          resolve(all.toString('latin1'))
        })
      }),
    closed,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    hangUp: () => socket.destroy(),
  }
}

/** The head of a request with an admin's token. */
export const head = (line: string, ...headers: readonly string[]): string =>
  [`${line} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${ADMIN}`, ...headers, '', ''].join('\r\n')

/** Says one thing and hears the answer out; the connection is the server's to close. */
export async function shout(
  server: TestServer,
  ...parts: readonly (string | Uint8Array)[]
): Promise<string> {
  const caller = call(server)
  await caller.send(...parts)
  return (await caller.closed).toString('latin1')
}
