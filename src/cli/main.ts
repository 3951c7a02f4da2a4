import { Command, CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { addAudit } from './audit.ts'
import { addBackup } from './backup.ts'
import { addDetector } from './detector.ts'
import { addDetect } from './detect.ts'
import { addDiff } from './diff.ts'
import { addInspect } from './inspect.ts'
import { addLs } from './ls.ts'
import { addMigrate } from './migrate.ts'
import { addPolicy } from './policy.ts'
import { addPull } from './pull.ts'
import { addPush } from './push.ts'
import { tellOf } from './report.ts'
import { addRestore } from './restore.ts'
import { addScan } from './scan.ts'
import { addServe } from './serve.ts'
import { type ExitCode, processShell } from './shell.ts'
import { addShow } from './show.ts'
import { addTag } from './tag.ts'
import { addToken } from './token.ts'
import { addVerify } from './verify.ts'
import { addWithdraw } from './withdraw.ts'

const ENDINGS = `
Exit codes: 0 done, 1 refused or not valid, 2 wrong use, 3 the registry can't be reached.
Of detect: 0 nothing found, 1 found, 2 wrong use, 3 it can't be said.`

/** Runs the command line. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  const run: { code: ExitCode; isForProgram: boolean } = { code: 0, isForProgram: false }
  const shell = processShell((code) => {
    run.code = code
  })
  const program = new Command('strongroom')
    .description(packageJson.description)
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => {
        write(text.replace(/^error:/, 'strongroom:'))
      },
    })
    .hook('preAction', (_program, command) => {
      run.isForProgram = command.optsWithGlobals<{ json?: boolean }>().json === true
    })
    .addHelpText('after', ENDINGS)
  for (const add of [
    addServe,
    addToken,
    addPush,
    addPull,
    addLs,
    addShow,
    addDiff,
    addDetect,
    addTag,
    addPolicy,
    addWithdraw,
    addVerify,
    addInspect,
    addMigrate,
    addScan,
    addDetector,
    addAudit,
    addBackup,
    addRestore,
  ]) {
    add(program, shell)
  }
  try {
    await program.parseAsync(argv, { from: 'user' })
    return run.code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return tellOf(error, shell, run.isForProgram).exitCode
  }
}
