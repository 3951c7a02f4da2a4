"""Confidences that mean what they say: isotonic regression of `is right` on the mean probability, per category."""

from model import CATEGORIES
from metrics import matched
from texts import Text

POINTS = 12
PRIOR = 2.0  # what one imagined span of probability 0 and confidence 0 weighs, and one of 1 and 1


def isotonic(pairs: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Pool adjacent violators over (x, y, weight): blocks (mean x, mean y, weight), ascending in both."""
    blocks: list[tuple[float, float, float]] = []
    for x, y, w in sorted(pairs):
        blocks.append((x, y, w))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (x1, y1, w1), (x2, y2, w2) = blocks[-2:]
            w = w1 + w2
            blocks[-2:] = [((x1 * w1 + x2 * w2) / w, (y1 * w1 + y2 * w2) / w, w)]
    return blocks


def curve(pairs: list[tuple[float, float]]) -> list[list[float]]:
    """At most POINTS points from [0, …] to [1, …]; blocks are pooled until each holds its share of the spans."""
    blocks = isotonic([(x, y, 1.0) for x, y in pairs] + [(0.0, 0.0, PRIOR), (1.0, 1.0, PRIOR)])
    least = sum(w for *_, w in blocks) / 60
    pooled: list[tuple[float, float, float]] = []
    for x, y, w in blocks:
        if pooled and (pooled[-1][2] < least or w < least):
            x0, y0, w0 = pooled[-1]
            pooled[-1] = ((x0 * w0 + x * w) / (w0 + w), (y0 * w0 + y * w) / (w0 + w), w0 + w)
        else:
            pooled.append((x, y, w))
    points = [[0.0, 0.0]] + [[round(x, 4), round(y, 4)] for x, y, _ in pooled[-POINTS:] if 0 < x < 1]
    points.append([1.0, max(points[-1][1], 0.99)])
    return [p for i, p in enumerate(points) if i == 0 or p[0] > points[i - 1][0]]


def calibration(texts: list[Text], found: list[list[dict]]) -> dict:
    """The file's `decoding.categories`."""
    pairs: dict[str, list[tuple[float, float]]] = {category: [] for category in CATEGORIES}
    for text, spans in zip(texts, found):
        by_place = {(s["start"], s["end"], s["category"]): s["probability"] for s in spans}
        for span, right in matched(list(by_place), text.spans):
            pairs[span[2]].append((by_place[span], float(right is not None)))
    return {category: {"threshold": 0.2, "calibration": curve(pairs[category])} for category in CATEGORIES}
