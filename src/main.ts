import { flushCompileCache } from 'node:module'
import process from 'node:process'
import { pino, type Logger } from 'pino'
import { LedgerFull, LedgerRefused } from '../db/ledger.ts'
import { type App, buildApp } from '../routes/app.ts'
import { type Config, ConfigError } from './config.ts'
import { FoldersRefused } from './folders.ts'
import { openStrongroom, type Strongroom } from './strongroom.ts'
import { VaultFull } from './vault/vault.ts'
// The threads' own files, which do nothing here: once this thread has them in the compile cache, no other
// has to strip their types.
import '../db/writer.ts'
import './hashing/worker.ts'

// The composition root: the one place that knows both the registry and its HTTP.

/**
 * Runs the server until a signal stops it.
 *
 * @returns the exit code: 0 after an orderly stop, 1 after a failure, 2 when it could not start as configured.
 */
export async function serve(config: Config, warnings: readonly string[]): Promise<number> {
  const log = pino({
    level: config.LOG_LEVEL,
    redact: ['req.headers.authorization', 'headers.authorization'],
    timestamp: pino.stdTimeFunctions.isoTime,
  })
  for (const warning of warnings) log.warn(warning)
  flushCompileCache()
  let end: (code: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })
  const onFatal = (error: Error): void => {
    log.fatal({ err: error }, 'nothing can be verified any more')
    end(1)
  }
  const stop = (): void => {
    end(0)
  }
  // Each may come twice: from a job's shell, and once more from npm.
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)

  let strongroom: Strongroom | undefined
  let app: App | undefined
  try {
    strongroom = await openStrongroom(config, log, announcer(log), onFatal)
    app = await buildApp(strongroom, log)
    const url = await app.fastify.listen({ host: config.HOST, port: config.PORT })
    log.info({ url }, 'listening')
  } catch (error) {
    // Threads that go on would keep the process from ending.
    await app?.fastify.close()
    await strongroom?.close()
    if (!isUsersToMend(error)) throw error
    process.stderr.write(`strongroom: ${error.message}\n`)
    return 2
  }
  const code = await ended
  await shutDown(app, strongroom, config.STOP_TIMEOUT_MS, log)
  return code
}

/** No new callers; transfers in flight go on until the deadline; then everything is written and closed. */
async function shutDown(
  app: App,
  strongroom: Strongroom,
  timeoutMs: number,
  log: Logger,
): Promise<void> {
  log.info('stopping')
  app.markStopping()
  const deadline = setTimeout(() => {
    log.warn('transfers still go on at the deadline; they are cut off')
    app.fastify.server.closeAllConnections()
  }, timeoutMs)
  try {
    await app.fastify.close()
  } finally {
    clearTimeout(deadline)
  }
  // Those that were cut off still have something to clean up, and to enter.
  await app.settled()
  await strongroom.close()
  log.info('stopped')
}

function announcer(log: Logger): Parameters<typeof openStrongroom>[2] {
  return {
    isTerminal: process.stderr.isTTY,
    say: (line) => process.stderr.write(`${line}\n`),
    warn: (line) => {
      log.warn(line)
    },
  }
}

/** What the system refuses at the start, be it a port, a folder or room on a disk, is in its operator's hands. */
const isUsersToMend = (error: unknown): error is Error =>
  error instanceof ConfigError ||
  error instanceof FoldersRefused ||
  error instanceof LedgerRefused ||
  error instanceof LedgerFull ||
  error instanceof VaultFull ||
  (error instanceof Error && 'syscall' in error)
