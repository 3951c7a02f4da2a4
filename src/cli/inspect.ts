import type { Command } from 'commander'
import { sizeOf } from '../client/push-files.ts'
import { type ReadSafetensors, readSafetensors } from '../client/read-safetensors.ts'
import { tensorAt } from '../safetensors/columns.ts'
import type { SafetensorsHeader } from '../safetensors/stream.ts'
import { jsonOption } from './client-options.ts'
import { createBar } from './progress.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, counted, grouped, printable, table } from './words.ts'

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

async function read(local: string, shell: Shell): Promise<ReadSafetensors> {
  const bar = createBar(shell, 'reading', await sizeOf(local))
  return readSafetensors(local, bar.add).finally(bar.end)
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
