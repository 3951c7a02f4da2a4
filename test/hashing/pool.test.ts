import { closeSync, openSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { createHashPool } from '../../src/hashing/pool.ts'
import { createSlots, SLOT_BYTES } from '../../src/hashing/slots.ts'
import { bytesOf, sha256, startPool } from './fixture.ts'

t.test('an urgent job passes those that wait', async (t) => {
  const pool = startPool(t, 1)
  const { segment, offset } = await createSlots(SLOT_BYTES, pool.share).take()
  const from = { segment, offset, length: SLOT_BYTES }
  const done: string[] = []
  const hash = async (urgency: 'demand' | 'upload' | 'ahead' | 'background'): Promise<void> => {
    await pool.run(urgency, { kind: 'hash_leaf', from })
    done.push(urgency)
  }
  const atHand = [hash('background'), hash('background')]
  await Promise.all([...atHand, hash('background'), hash('ahead'), hash('upload'), hash('demand')])
  t.same(done, ['background', 'background', 'demand', 'upload', 'ahead', 'background'])
})

t.test('jobs of one session run in order on one worker, whatever other sessions do', async (t) => {
  const pool = startPool(t, 3)
  const slots = createSlots(8 * SLOT_BYTES, pool.share)
  const sessions = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const slot = await slots.take()
      slot.bytes.set(bytesOf(`session ${i}`, 100_000))
      return { session: pool.openSession(), slot }
    }),
  )
  await Promise.all(
    sessions.map(async ({ session, slot }) => {
      const { segment, offset } = slot
      // Short and long updates in turn: out of order they would give another digest.
      const lengths = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 100_000 - i : i))
      const updates = lengths.map((length) =>
        session.run('upload', {
          kind: 'whole_update',
          session: session.id,
          from: { segment, offset, length },
        }),
      )
      const digest = await session.run('upload', { kind: 'whole_digest', session: session.id })
      await Promise.all(updates)
      session.end()
      const whole = Buffer.concat(lengths.map((length) => slot.bytes.subarray(0, length)))
      t.same(Buffer.from(digest), sha256(whole))
    }),
  )
})

t.test('a job that fails is rejected by itself, and its worker goes on', async (t) => {
  const pool = startPool(t, 1)
  const { segment, offset } = await createSlots(SLOT_BYTES, pool.share).take()
  const into = { segment, offset, length: 10 }
  const expected = sha256(Buffer.alloc(10))
  const fd = openSync('/dev/null', 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  const read = (from: number) =>
    pool.run('demand', { kind: 'read_leaf', fd: from, position: 0, into, expected })
  await t.rejects(read(1_000_000), { message: /EBADF/ })
  await t.rejects(pool.run('demand', { kind: 'hash_leaf', from: { ...into, segment: 7 } }))
  t.equal(await read(fd), 'short')
})

t.test('a pool that closes rejects what it has not done, and whatever comes after', async (t) => {
  const pool = createHashPool(1, (error) => t.fail(error.message))
  const { segment, offset } = await createSlots(SLOT_BYTES, pool.share).take()
  const job = { kind: 'hash_leaf' as const, from: { segment, offset, length: SLOT_BYTES } }
  const session = pool.openSession()
  const whole = { kind: 'whole_digest' as const, session: session.id }
  const asked = [pool.run('demand', job), pool.run('ahead', job), session.run('upload', whole)]
  const verdicts = Promise.allSettled(asked)
  await pool.close()
  t.ok((await verdicts).every(({ status }) => status === 'rejected'))
  await t.rejects(pool.run('demand', job))
  session.end()
})

t.test('a worker that dies is told once, and everyone who waits is rejected', async (t) => {
  // A heap that ends is the one way to kill a thread and not its process.
  const script = `
    const { createHashPool } = await import('./src/hashing/pool.ts')
    let told = 0
    const pool = createHashPool(2, () => { told += 1 })
    const text = Buffer.alloc(16 * 1024 * 1024, '[')
    const check = () => pool.run('upload', { kind: 'check_index', text, shards: [] })
    const verdicts = await Promise.allSettled([check(), check(), check(), check(), check(), check()])
    const later = await check().then(() => 'done', () => 'rejected')
    await pool.close()
    console.log(JSON.stringify([told, verdicts.map(({ status }) => status), later]))`
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--max-old-space-size=64',
    '--input-type=module',
    '-e',
    script,
  ])
  const [told, verdicts, later] = JSON.parse(stdout) as [number, string[], string]
  t.equal(told, 1)
  t.same(new Set(verdicts), new Set(['rejected']))
  t.equal(later, 'rejected')
})
