/** Of `__metadata__`: readers of weights want it to be `pt`. */
export const FORMAT_KEY = 'format'
/** The SHA-256 of the file that the weights come from. */
export const SOURCE_KEY = 'source_sha256'

/** Whether nothing of a checkpoint's own may go by this name. */
export const isOwnKey = (name: string): boolean => name === FORMAT_KEY || name === SOURCE_KEY
