import t from 'tap'
import { namespaceOf } from '../../src/hub/namespace.ts'

t.test('a repository without an owner goes where its token reaches', (t) => {
  for (const [scope, name, namespace] of [
    ['acme/*', 'alice', 'acme'],
    ['acme/bert', 'alice', 'acme'],
    ['acme/be*', 'alice', 'acme'],
    ['*', 'alice', 'alice'],
    ['*', 'the token of alice', 'strongroom-user'],
    ['*', 'console', 'strongroom-user'],
  ] as const)
    t.equal(namespaceOf({ scope, name }), namespace, `${scope} ${name}`)
  t.end()
})
