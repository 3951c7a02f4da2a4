/** Of `__metadata__`: readers of weights want it to be `pt`, and nothing else goes by its name. */
export const FORMAT_KEY = 'format'
