"""Span scores: a span is right if category and at least half of the union agree (overlap), or category and both ends (strict)."""

import random
from collections import defaultdict

from texts import Text

Span = tuple[int, int, str]


def union_share(a: Span, b: Span) -> float:
    common = min(a[1], b[1]) - max(a[0], b[0])
    return 0.0 if common <= 0 else common / (max(a[1], b[1]) - min(a[0], b[0]))


def matched(found: list[Span], marked: list[Span]) -> list[tuple[Span, Span | None]]:
    """Each found span with the marked one it is right about, each marked one used once."""
    free, out = list(marked), []
    for span in found:
        rivals = [m for m in free if m[2] == span[2] and union_share(span, m) >= 0.5]
        best = max(rivals, key=lambda m: union_share(span, m), default=None)
        if best is not None:
            free.remove(best)
        out.append((span, best))
    return out


def counts(texts: list[Text], found: list[list[Span]]) -> list[dict]:
    """For each text and key (a category, a language, `all`): found, marked, overlap, strict."""
    rows = []
    for text, spans in zip(texts, found):
        row = defaultdict(lambda: [0, 0, 0, 0])
        for _, _, category in text.spans:
            for key in (category, text.language, "all"):
                row[key][1] += 1
        for span, right in matched(spans, text.spans):
            for key in (span[2], text.language, "all"):
                row[key][0] += 1
                row[key][2] += right is not None
                row[key][3] += right is not None and right[:2] == span[:2]
        if not text.spans:
            row["clean"] = [len(spans), 1, 0, 0]
        rows.append(row)
    return rows


def totals(rows) -> dict[str, list[int]]:
    total = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        for key, values in row.items():
            total[key] = [a + b for a, b in zip(total[key], values)]
    return total


def f1(right: int, found: int, marked: int) -> float:
    return 2 * right / (found + marked) if found + marked else 1.0


def scores(texts: list[Text], found: list[list[Span]], draws=500) -> dict:
    """Overlap and strict F1 with 95% intervals (bootstrap over texts), and false spans per text without personal data."""
    rows, rng = counts(texts, found), random.Random(0)
    total = totals(rows)
    samples = [totals(rng.choices(rows, k=len(rows))) for _ in range(draws)]
    out = {}
    for key, (n_found, n_marked, overlap, strict) in sorted(total.items()):
        if key == "clean":
            out["false_spans_per_clean_text"] = {"value": round(n_found / n_marked, 3), "texts": n_marked}
            continue
        drawn = sorted(f1(s[key][2], s[key][0], s[key][1]) for s in samples)
        out[key] = {
            "precision": round(overlap / max(1, n_found), 3),
            "recall": round(overlap / max(1, n_marked), 3),
            "f1": round(f1(overlap, n_found, n_marked), 3),
            "interval": [round(drawn[int(draws * 0.025)], 3), round(drawn[int(draws * 0.975)], 3)],
            "strict_f1": round(f1(strict, n_found, n_marked), 3),
            "spans": n_marked,
        }
    return out


def table(named: dict[str, dict]) -> str:
    """Markdown: one row a key, for each system overlap F1 (interval) and strict F1."""
    keys = [k for k in ["all", "personal_name", "address", "phone", "email", "de", "en", "es", "fr", "ja"] if any(k in s for s in named.values())]
    lines = ["| | spans | " + " | ".join(named) + " |", "|---|---|" + "---|" * len(named)]
    for key in keys:
        cells = [f"{s[key]['f1']:.3f} ({s[key]['interval'][0]:.2f}–{s[key]['interval'][1]:.2f}), {s[key]['strict_f1']:.3f}" if key in s else "" for s in named.values()]
        spans = next(s[key]["spans"] for s in named.values() if key in s)
        lines.append(f"| {key} | {spans} | " + " | ".join(cells) + " |")
    clean = [s.get("false_spans_per_clean_text") for s in named.values()]
    lines.append(f"| false spans a clean text | {next(c['texts'] for c in clean if c)} texts | " + " | ".join(str(c["value"]) if c else "" for c in clean) + " |")
    return "\n".join(lines)
