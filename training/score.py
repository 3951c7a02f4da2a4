"""Scores of a detector file on a part of the hand-written texts.

python score.py DETECTOR [--part held-out|test|development] [--with NAME=FILE.jsonl …] [--dense FILE] [--errors]

--with adds the spans of another system (baselines.py writes them); --dense adds the detector whose classifier is the host's own head.
"""

import argparse
import json
import pathlib

from metrics import matched, scores, table
from spans import candidates, spans_at
from texts import Text, hand_written, held_out, split

CONFIDENCE = 0.8


def part(name: str) -> list[Text]:
    return held_out() if name == "held-out" else split(hand_written())[name]


def errors(texts: list[Text], found) -> list[tuple]:
    out = []
    for text, spans in zip(texts, found):
        pairs = matched(spans, text.spans)
        wrong = [("false", span) for span, right in pairs if right is None]
        missed = [("missed", span) for span in text.spans if span not in [right for _, right in pairs]]
        cut = [("cut", span) for span, right in pairs if right is not None and right[:2] != span[:2]]
        for kind, (begin, end, category) in wrong + missed + cut:
            around = text.text[max(0, begin - 30) : begin] + "⟦" + text.text[begin:end] + "⟧" + text.text[end : end + 30]
            out.append((kind, category, text.language, text.id, around))
    return sorted(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("detector", type=pathlib.Path)
    parser.add_argument("--part", choices=["held-out", "test", "development"], default="held-out")
    parser.add_argument("--dense", type=pathlib.Path)
    parser.add_argument("--with", dest="others", action="append", default=[])
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    texts = part(options.part)
    found = {"SAE": spans_at(candidates(options.detector, texts), CONFIDENCE)}
    if options.dense:
        found["dense head"] = spans_at(candidates(options.dense, texts), CONFIDENCE)
    for other in options.others:
        name, file = other.split("=", 1)
        rows = [json.loads(line)["spans"] for line in pathlib.Path(file).read_text(encoding="utf8").splitlines()]
        found[name] = [[(s["start"], s["end"], s["category"]) for s in spans] for spans in rows]
    print(f"{options.part}: {len(texts)} texts; overlap F1 (95% interval), strict F1\n")
    print(table({name: scores(texts, spans) for name, spans in found.items()}))
    if options.errors:
        for row in errors(texts, found["SAE"]):
            print(*row[:4], repr(row[4]))


if __name__ == "__main__":
    main()
