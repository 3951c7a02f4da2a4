/** A file that isn't a detector as docs/detector-format.md has it: where it departs from that page, and how. */
export class DetectorRefused extends Error {
  /** `file`, a member of the settings (`sae.width`) or a tensor (`tensor sae.encoder.weight`). */
  readonly where: string

  constructor(where: string, sentence: string, cause?: unknown) {
    super(`${where}: ${sentence}`, cause === undefined ? undefined : { cause })
    this.name = 'DetectorRefused'
    this.where = where
  }
}
