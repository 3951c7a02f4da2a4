import t from 'tap'
import { may, type Action } from '../../src/access/roles.ts'
import type { Role } from '../../db/ledger.ts'

const ACTIONS: readonly Action[] = [
  'describe',
  'read',
  'publish',
  'audit',
  'admin',
  'metrics',
  'detect',
]

const TABLE: readonly (readonly [role: Role, allowed: string, title: string])[] = [
  ['reader', 'describe read metrics', 'a reader describes and downloads'],
  ['writer', 'describe read publish metrics', 'a writer does what a reader does, and publishes'],
  ['detector', 'detect', 'a detector detects and does nothing else'],
  [
    'auditor',
    'describe audit metrics',
    'an auditor reads every description and the log, no weights',
  ],
  ['admin', ACTIONS.join(' '), 'an admin may do everything'],
]

for (const [role, allowed, title] of TABLE)
  t.test(title, async (t) => {
    t.equal(ACTIONS.filter((action) => may(role, action)).join(' '), allowed)
  })
