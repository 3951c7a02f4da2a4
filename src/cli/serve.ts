import { type Command, Option } from 'commander'
import { ConfigError, flagOf, readConfig, SETTINGS } from '../config.ts'
import { type ExitCode, type Shell, UsageError } from './shell.ts'

/** `strongroom serve`: every setting of the server has a flag, which wins over its variable. */
export function addServe(program: Command, shell: Shell): void {
  const command = program
    .command('serve')
    .description('run the registry until SIGTERM or SIGINT')
    .usage('[options]')
    // Whatever is wrong is told at once, with what readConfig finds: so nothing may stop the parsing.
    .allowUnknownOption()
    .allowExcessArguments()
  const names = new Map<string, string>()
  for (const [name, { shown, help }] of Object.entries(SETTINGS)) {
    const option = new Option(`${flagOf(name)} <value>`, `${help} (STRONGROOM_${name}, ${shown})`)
    names.set(option.attributeName(), name)
    command.addOption(option)
  }
  command.action(async (options: Readonly<Record<string, string>>, { args }: Command) => {
    const flags = Object.fromEntries(
      Object.entries(options).map(([attribute, value]) => [
        names.get(attribute) ?? attribute,
        value,
      ]),
    )
    const { config, warnings } = configFrom(shell, flags, unknownIn(args))
    const { serve } = await import('../main.ts')
    shell.end(asExitCode(await serve(config, warnings)))
  })
}

function configFrom(
  { env }: Shell,
  flags: Readonly<Record<string, string>>,
  unknown: readonly string[],
): ReturnType<typeof readConfig> {
  try {
    const read = readConfig(env, flags)
    if (unknown.length > 0) throw new UsageError(...unknown)
    return read
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(...unknown, ...error.problems)
    throw error
  }
}

/** What follows an unknown flag may be its value: it is named only where no flag explains it. */
function unknownIn(args: readonly string[]): readonly string[] {
  const flags = args.filter((arg) => arg.startsWith('-'))
  if (flags.length > 0)
    return flags.map((flag) => `${flag.replace(/=.*/s, '')} is not a flag of serve`)
  return args.map((arg) => `serve takes no argument: ${arg}`)
}

const asExitCode = (code: number): ExitCode => (code === 0 || code === 2 ? code : 1)
