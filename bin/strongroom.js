#!/usr/bin/env node
// Plain JavaScript that Node 20 parses too: the program itself is TypeScript, which needs Node 24, and
// this file finds one. `npm ci` puts it into node_modules/.bin on Linux x64.
import { spawn, spawnSync } from 'node:child_process'
import module from 'node:module'
import process from 'node:process'
import { URL, fileURLToPath } from 'node:url'

const WANTED = 24
const bundledNode = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))

/** @param {string} version `24.1.0`, `v24.1.0`, or nothing where no Node answered. */
function isRecent(version) {
  return Number.parseInt(version.replace(/^v/, ''), 10) >= WANTED
}

/** Runs this command again under the other Node and ends as it ends. */
function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  const forwarders = ['SIGTERM', 'SIGINT', 'SIGHUP'].map((signal) => {
    // A terminal sends Ctrl-C to the child as well: forwarding it there would interrupt twice.
    const fromTerminal = signal === 'SIGINT' && (process.stdin.isTTY || process.stderr.isTTY)
    const forward = () => fromTerminal || child.kill(signal)
    process.on(signal, forward)
    return [signal, forward]
  })
  child.on('error', (error) => {
    process.stderr.write(`strongroom: can't start ${node}: ${error.message}\n`)
    process.exitCode = 2
  })
  child.on('exit', (code, signal) => {
    for (const [name, forward] of forwarders) process.off(name, forward)
    if (signal === null) process.exitCode = code
    else process.kill(process.pid, signal)
  })
}

if (isRecent(process.versions.node)) {
  // What the types are stripped to is kept beside the code, under the code's own permissions: each thread
  // that finds it there needs 20 MB less, and starts sooner. A folder that can't be written is no error.
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(
    new URL('../node_modules/.cache/strongroom', import.meta.url),
  )
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
  const { main } = await import('../src/cli/main.ts')
  process.exitCode = await main(process.argv.slice(2))
} else if (isRecent(spawnSync(bundledNode, ['--version'], { encoding: 'utf8' }).stdout ?? '')) {
  runUnder(bundledNode)
} else {
  process.stderr.write(
    `strongroom: this is Node ${process.versions.node}, and Node ${WANTED} or newer is needed.\n` +
      `Run \`npm ci\` in the project's folder (on Linux x64 it brings one along), or install Node ${WANTED}.\n`,
  )
  process.exitCode = 2
}
