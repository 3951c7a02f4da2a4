/** The confidence of a probability: on the line between the points around it; beyond the outermost, theirs. */
export function calibrated(
  points: readonly (readonly [probability: number, confidence: number])[],
  probability: number,
): number {
  const next = points.findIndex(([at]) => at >= probability)
  const [x1, y1] = points.at(next) ?? [0, probability]
  const [x0, y0] = points[next - 1] ?? [x1, y1]
  return x1 > x0 ? y0 + ((y1 - y0) * (probability - x0)) / (x1 - x0) : y1
}
