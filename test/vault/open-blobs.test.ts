import { readSync, rmSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openLocalVault } from '../../src/vault/local.ts'
import { createOpenBlobs } from '../../src/vault/open-blobs.ts'

async function vaultWithBlob(t: Test) {
  const root = t.testdir()
  const vault = await openLocalVault(root)
  const staged = await vault.stage()
  await staged.write(0, Buffer.from('bytes'))
  await staged.seal()
  const path = join(root, 'blobs', staged.id.slice(0, 2), staged.id)
  return { blobs: createOpenBlobs(vault), id: staged.id, path }
}

const read = (fd: number): string => {
  const bytes = Buffer.alloc(5)
  readSync(fd, bytes, 0, 5, 0)
  return bytes.toString()
}

const descriptorsOf = async (path: string): Promise<number> => {
  const links = (await readdir('/proc/self/fd')).map((fd) =>
    readlink(`/proc/self/fd/${fd}`).catch(() => ''),
  )
  return (await Promise.all(links)).filter((link) => link.startsWith(path)).length
}

t.test('readers of one blob share a descriptor, which closes when the last lets go', async (t) => {
  const { blobs, id, path } = await vaultWithBlob(t)
  const [a, b] = await Promise.all([blobs.open(id), blobs.open(id)])
  t.equal(a?.fd, b?.fd)
  t.equal(a?.sizeBytes, 5)
  a?.retain()
  a?.release()
  a?.release()
  t.equal(await descriptorsOf(path), 1)
  rmSync(path)
  t.equal(read(b?.fd ?? -1), 'bytes', 'a reader goes on with a blob that was removed')
  b?.release()
  while ((await descriptorsOf(path)) > 0) await new Promise(setImmediate)
})

t.test('the last reader lets go while another opens: the other reads on', async (t) => {
  const { blobs, id, path } = await vaultWithBlob(t)
  for (let turn = 0; turn < 50; turn++) {
    const first = await blobs.open(id)
    const opening = blobs.open(id)
    first?.release()
    const second = await opening
    t.equal(read(second?.fd ?? -1), 'bytes')
    second?.release()
  }
  while ((await descriptorsOf(path)) > 0) await new Promise(setImmediate)
})

t.test('a blob that is not there is undefined for everyone, and is looked for again', async (t) => {
  const { blobs, id, path } = await vaultWithBlob(t)
  rmSync(path)
  t.same(await Promise.all([blobs.open(id), blobs.open(id)]), [undefined, undefined])
  t.equal(await blobs.open('no id'), undefined)
})
