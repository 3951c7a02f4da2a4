import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { SLOT_BYTES as MIB } from '../../src/hashing/slots.ts'
import { countFreeSlots, sha256 } from '../hashing/fixture.ts'
import { cut, stagedIn, startAdmission } from './fixture.ts'

const JSON_FILE = { path: 'tokenizer.json', kind: 'json', announcedBytes: undefined } as const
const README = { path: 'README.md', kind: 'text', announcedBytes: undefined } as const

t.test(
  'a sidecar is stored as it came, with its leaves, and judged to its last byte',
  async (t) => {
    const { admit, slots, root } = await startAdmission(t)
    const text = Buffer.from(JSON.stringify({ vocab: 'é'.repeat(700_000), end: true }))
    for (const chunkBytes of [997, 65_536, 3 * MIB]) {
      const admitted = await admit(cut(text, chunkBytes), {
        ...JSON_FILE,
        announcedBytes: text.length,
      })
      t.match(admitted, { kind: 'sidecar', header: undefined, sizeBytes: text.length })
      t.same(
        Buffer.from(admitted.digests.leaves),
        Buffer.concat([text.subarray(0, MIB), text.subarray(MIB)].map(sha256)),
      )
      t.ok(readFileSync(join(root, 'staging', admitted.staged.id)).equals(text))
      t.equal(countFreeSlots(slots), 16)
    }
    for (const bad of [text.subarray(0, -1), Buffer.concat([text, Buffer.from(']')])])
      await t.rejects(admit(cut(bad, 65_536), JSON_FILE), {
        code: 'INVALID_SAFETENSORS',
        facts: { reason: 'not_safetensors', looks_like: 'json', path: 'tokenizer.json' },
      })
    await t.rejects(admit(cut(Buffer.alloc(3 * MIB + 1, ' '), 65_536), JSON_FILE), {
      code: 'TOO_LARGE',
    })
    t.equal((await stagedIn(root)).length, 3)
    t.equal(countFreeSlots(slots), 16)
  },
)

t.test('a bad sidecar is refused at its first bytes, or a few slots after its fault', async (t) => {
  const { admit, slots } = await startAdmission(t, { maxSidecarBytes: 64 * MIB })
  const text = Buffer.alloc(40 * MIB, 'some text\n')
  for (const [at, most] of [
    [0, 1024],
    [600, 1024],
    [64_000, 65_000],
    [2 * MIB, 12 * MIB],
  ] as const) {
    let taken = 0
    const bad = Buffer.from(text)
    bad[at] = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of cut(bad, 1000)) {
        taken += chunk.length
        // As between the chunks of a socket.
        await setImmediate()
        yield chunk
      }
    }
    await t.rejects(admit(counted(), README), {
      code: 'INVALID_SAFETENSORS',
      facts: { offset: at },
    })
    t.ok(taken <= most, `${taken} bytes for a fault at ${at}`)
    t.equal(countFreeSlots(slots), 16)
  }
})
