// How a ledger fails where a caller can tell the ways apart.

/** The ledger can't be opened as it is; the message says what to do. */
export class LedgerRefused extends Error {
  override readonly name = 'LedgerRefused'
}

/** The disk under the ledger is full: nothing of the transaction remains. */
export class LedgerFull extends Error {
  override readonly name = 'LedgerFull'
}

/** A row of the ledger doesn't say what the ledger wrote: somebody altered it. `path` is of the file that it is about. */
export class LedgerDamaged extends Error {
  override readonly name = 'LedgerDamaged'
  readonly path: string

  constructor(message: string, path = '', options?: ErrorOptions) {
    super(message, options)
    this.path = path
  }
}
