// What a user of the npm client `@huggingface/hub` does, as steps. It wants tokens that begin `hf_`.

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { hash } from 'node:crypto'
import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import * as hub from '@huggingface/hub'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import type { Setting, Step } from './run-steps.ts'

type Does = () => Promise<void>

const TENSOR_BYTES = 1024 * 1024

/** A safetensors file; another seed, other bytes. */
function weights(seed: number): Blob {
  const values = Float32Array.from({ length: TENSOR_BYTES / 4 }, (_, i) => Math.sin(seed + i))
  const tensor = {
    name: 'weight',
    dtype: 'F32',
    shape: [values.length],
    bytes: new Uint8Array(values.buffer),
  }
  return new Blob([writeSafetensors([tensor])])
}

const digestOf = async (blob: Blob): Promise<string> =>
  hash('sha256', new Uint8Array(await blob.arrayBuffer()))

async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const withStatus =
  (status: number, word = '') =>
  (error: unknown): boolean =>
    error instanceof hub.HubApiError && error.statusCode === status && error.message.includes(word)

/** Promises, and what is done for each, in this order. */
function stepsOf({
  endpoint,
  token,
  folder,
  env,
}: Setting): Readonly<Record<string, readonly [string, Does]>> {
  const repo = 'acme/from-javascript'
  const at = { repo, hubUrl: endpoint, accessToken: `hf_${token}` }
  const paths = async (revision = 'main'): Promise<readonly string[]> =>
    (await all(hub.listFiles({ ...at, revision, recursive: true })))
      .filter(({ type, path }) => type === 'file' && path !== '.gitattributes')
      .map(({ path }) => path)
      .sort()
  const download = async (path: string, revision = 'main'): Promise<Blob> => {
    const blob = await hub.downloadFile({ ...at, path, revision })
    ok(blob, `${path} is not there`)
    return blob
  }
  const model = weights(1)

  return {
    createRepo: [
      'A repository is made, and is made once',
      async () => {
        const { repoUrl, id } = await hub.createRepo(at)
        deepEqual([repoUrl, typeof id], [`${endpoint}/${repo}`, 'string'])
        equal(await hub.repoExists(at), true)
        await rejects(hub.createRepo(at), withStatus(409))
      },
    ],
    whoAmI: [
      'A token knows whose it is',
      async () => {
        equal((await hub.whoAmI(at)).name, 'acme')
        await hub.checkRepoAccess(at)
      },
    ],
    uploadFile: [
      'A file that is uploaded is there, byte for byte',
      async () => {
        const done = await hub.uploadFile({
          ...at,
          file: { path: 'model.safetensors', content: model },
        })
        equal(
          done?.commit.oid,
          (await hub.modelInfo({ name: repo, ...at, additionalFields: ['sha'] })).sha,
        )
        equal(await digestOf(await download('model.safetensors')), await digestOf(model))
      },
    ],
    uploadFiles: [
      'Files are uploaded together, large and small',
      async () => {
        await hub.uploadFiles({
          ...at,
          files: [
            { path: 'config.json', content: new Blob(['{"model_type":"bert"}']) },
            { path: 'sub/adapter.safetensors', content: weights(2) },
          ],
        })
        deepEqual(await paths(), ['config.json', 'model.safetensors', 'sub/adapter.safetensors'])
      },
    ],
    withoutXet: [
      'Files are uploaded where Xet is not wanted',
      async () => {
        const file = { path: 'plain.safetensors', content: weights(3) }
        await hub.uploadFile({ ...at, file, useXet: false })
        equal(await digestOf(await download(file.path)), await digestOf(file.content))
      },
    ],
    progress: [
      'An upload that tells of its progress arrives',
      async () => {
        const files = [{ path: 'progress.safetensors', content: weights(4) }]
        const events = await all(hub.uploadFilesWithProgress({ ...at, files }))
        ok(events.length > 0)
        ok((await paths()).includes('progress.safetensors'))
      },
    ],
    pathsInfo: [
      'Infos of paths tell sizes and hashes',
      async () => {
        const [info] = await hub.pathsInfo({ ...at, paths: ['model.safetensors'] })
        deepEqual([info?.size, info?.lfs?.oid], [model.size, await digestOf(model)])
        equal(await hub.fileExists({ ...at, path: 'model.safetensors' }), true)
        equal(await hub.fileExists({ ...at, path: 'none.safetensors' }), false)
        equal((await hub.fileDownloadInfo({ ...at, path: 'model.safetensors' }))?.size, model.size)
      },
    ],
    range: [
      'A part of a file is fetched by its range',
      async () => {
        const part = (await download('model.safetensors')).slice(1000, 1500)
        equal(await digestOf(part), await digestOf(model.slice(1000, 1500)))
      },
    ],
    safetensorsMetadata: [
      'The metadata of a model are read from its header',
      async () => {
        const found = await hub.parseSafetensorsMetadata({ ...at, computeParametersCount: true })
        deepEqual(found.parameterCount, { F32: TENSOR_BYTES / 4 })
      },
    ],
    snapshot: [
      'A snapshot is downloaded into the cache',
      async () => {
        const snapshot = await hub.snapshotDownload({ ...at, cacheDir: join(folder, 'cache') })
        deepEqual(
          await readFile(join(snapshot, 'model.safetensors')),
          Buffer.from(await model.bytes()),
        )
      },
    ],
    listModels: [
      'Models are listed by owner',
      async () => {
        const found = await all(hub.listModels({ ...at, search: { owner: 'acme' } }))
        deepEqual(
          found.map(({ name }) => name),
          [repo],
        )
      },
    ],
    listCommits: [
      'Commits are listed, the last first',
      async () => {
        const [last] = await all(hub.listCommits(at))
        equal(
          last?.oid,
          (await hub.modelInfo({ name: repo, ...at, additionalFields: ['sha'] })).sha,
        )
      },
    ],
    parentCommit: [
      'A commit whose parent is no longer the last is a conflict',
      async () => {
        const parentCommit = (await all(hub.listCommits(at)))[1]?.oid ?? ''
        const file = { path: 'late.safetensors', content: weights(5) }
        await rejects(hub.uploadFile({ ...at, file, parentCommit }), withStatus(412))
      },
    ],
    deleteFile: [
      'A file is deleted, and so are several',
      async () => {
        await hub.deleteFile({ ...at, path: 'plain.safetensors' })
        await hub.deleteFiles({ ...at, paths: ['progress.safetensors', 'sub/adapter.safetensors'] })
        deepEqual(await paths(), ['config.json', 'model.safetensors'])
      },
    ],
    commit: [
      'A commit adds and deletes at once',
      async () => {
        await hub.commit({
          ...at,
          title: 'Renamed',
          operations: [
            { operation: 'delete', path: 'model.safetensors' },
            { operation: 'addOrUpdate', path: 'renamed.safetensors', content: model },
          ],
        })
        deepEqual(await paths(), ['config.json', 'renamed.safetensors'])
      },
    ],
    branches: [
      'A branch is made, written to while main stays, and deleted',
      async () => {
        await hub.createBranch({ ...at, branch: 'trial' })
        const file = { path: 'trial.safetensors', content: weights(6) }
        await hub.uploadFile({ ...at, file, branch: 'trial' })
        deepEqual((await paths('trial')).includes(file.path), true)
        deepEqual((await paths()).includes(file.path), false)
        await hub.deleteBranch({ ...at, branch: 'trial' })
        await rejects(paths('trial'), withStatus(404))
      },
    ],
    refusals: [
      'A pickle is refused in words that the user reads',
      async () => {
        const content = new Blob([Buffer.from('80027d71002e', 'hex')])
        const file = { path: 'other.safetensors', content }
        await rejects(hub.uploadFile({ ...at, file }), withStatus(400, 'pickle'))
      },
    ],
    missing: [
      'What is not there is not found',
      async () => {
        equal(await hub.repoExists({ ...at, repo: 'acme/none' }), false)
        equal(await hub.downloadFile({ ...at, path: 'none.safetensors' }), null)
        await rejects(hub.modelInfo({ name: 'hidden/model', ...at }), withStatus(404))
      },
    ],
    deleteRepo: [
      'A repository is deleted by an admin',
      async () => {
        await rejects(hub.deleteRepo(at), withStatus(403))
        await hub.deleteRepo({ ...at, accessToken: `hf_${env['ADMIN'] ?? ''}` })
        equal(await hub.repoExists(at), false)
      },
    ],
  }
}

/** Runs the steps in this process. One that fails ends none of those after it. */
export async function runJavascriptSteps(setting: Setting): Promise<readonly Step[]> {
  const steps: Step[] = []
  for (const [operation, [promise, does]] of Object.entries(stepsOf(setting))) {
    const began = performance.now()
    const outcome = await does().then(
      () => ({ outcome: 'held' }) as const,
      (error: unknown) =>
        ({
          outcome: 'failed',
          why: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }) as const,
    )
    steps.push({ operation, promise, ...outcome, seconds: (performance.now() - began) / 1000 })
  }
  return steps
}
