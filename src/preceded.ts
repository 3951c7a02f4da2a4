/**
 * What has to come first, and then the pieces; but only once the first of the pieces is there, so that a failure to
 * get it is met before anything has gone out. A piece is valid until the next one is asked for.
 */
export async function* preceded(
  first: Iterable<Uint8Array>,
  pieces: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const piece = await pieces.next()
    yield* first
    if (piece.done !== true) yield piece.value
    yield* pieces
  } finally {
    await pieces.return()
  }
}
