import type { Command } from 'commander'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { localErrorOf } from '../client/local-failure.ts'
import { sizeOf } from '../client/push-files.ts'
import { tensorAt } from '../safetensors/columns.ts'
import { createValidator, type SafetensorsHeader } from '../safetensors/stream.ts'
import { jsonOption } from './client-options.ts'
import { createBar } from './progress.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, counted, grouped, printable, table } from './words.ts'

const READ_BYTES = 1024 * 1024

interface Count {
  tensors: number
  parameters: number
}

/** `strongroom inspect FILE`: what the registry would make of a local file, without a registry. */
export function addInspect(program: Command, shell: Shell): void {
  program
    .command('inspect')
    .description('validate a local safetensors file and say what it holds')
    .argument('<file>')
    .addOption(jsonOption())
    .action(async (local: string, { json }: { readonly json?: boolean }) => {
      const { header, sha256 } = await read(local, shell)
      const dtypes = dtypesOf(header)
      const { fileBytes: size, parameters, metadata } = header
      const tensors = header.columns.count
      if (json === true) {
        const document = {
          file: local,
          valid: true,
          size,
          sha256,
          tensors,
          parameters,
          dtypes,
          metadata,
        }
        shell.say(JSON.stringify(document, null, 2))
        return
      }
      const rows = [
        ['size', `${bytesInWords(size)} (${grouped(size)} bytes)`],
        ['sha256', sha256],
        ['tensors', grouped(tensors)],
        ['parameters', grouped(parameters)],
        ...Object.entries(dtypes).map(([dtype, count]) => [
          'dtype',
          `${dtype}: ${counted(count.tensors, 'tensor')}, ${counted(count.parameters, 'parameter')}`,
        ]),
        ...Object.entries(metadata).map(([key, value]) => ['metadata', `${key} = ${value}`]),
      ]
      shell.say(`${printable(local)} is valid safetensors\n${table(rows).replace(/^/gm, '  ')}`)
    })
}

/** @throws {SafetensorsError} at the first byte that no valid file has; {LocalError} */
async function read(
  local: string,
  shell: Shell,
): Promise<{ readonly header: SafetensorsHeader; readonly sha256: string }> {
  const fileBytes = await sizeOf(local)
  const validator = createValidator({ fileBytes })
  const whole = createHash('sha256')
  const bar = createBar(shell, 'reading', fileBytes)
  try {
    for await (const piece of createReadStream(local, { highWaterMark: READ_BYTES })) {
      const chunk = piece as Uint8Array
      validator.write(chunk)
      whole.update(chunk)
      bar.add(chunk.length)
    }
  } catch (error) {
    throw localErrorOf(local, error)
  } finally {
    bar.end()
  }
  return { header: validator.end(), sha256: whole.digest('hex') }
}

function dtypesOf({ columns }: SafetensorsHeader): Readonly<Record<string, Count>> {
  const counts: Record<string, Count> = {}
  for (let i = 0; i < columns.count; i += 1) {
    const { dtype, shape } = tensorAt(columns, i)
    const count = (counts[dtype] ??= { tensors: 0, parameters: 0 })
    count.tensors += 1
    count.parameters += shape.reduce((product, dim) => product * dim, 1)
  }
  return counts
}
