"""The hand-written texts of data/texts and their split by domain."""

import hashlib
import json
import pathlib
from dataclasses import dataclass, field

from check_texts import parse

FOLDER = pathlib.Path(__file__).parent / "data"


@dataclass
class Text:
    text: str
    spans: list[tuple[int, int, str]]  # code points, end exclusive, category
    language: str
    domain: str = ""
    id: str = ""
    # Whether organisations and places are marked too (in synthetic texts they are).
    has_others: bool = False


def hand_written() -> list[Text]:
    return texts_of("texts")


def held_out() -> list[Text]:
    """Written by somebody who had seen none of the other texts; neither trained on nor looked at while training was made."""
    return texts_of("held-out")


def for_calibration() -> list[Text]:
    """Everyday texts, by another hand: among the hard cases of the development texts, confidences would come out too low."""
    return texts_of("calibration")


def texts_of(folder: str) -> list[Text]:
    out = []
    for file in sorted((FOLDER / folder).glob("*.jsonl")):
        for line in file.read_text(encoding="utf8").splitlines():
            row = json.loads(line)
            text, spans = parse(row["marked"])
            marked = [(s["start"], s["end"], s["category"]) for s in spans]
            out.append(Text(text, marked, row["language"], row["domain"], row["id"]))
    return out


def part_of(text: Text) -> str:
    """`train`, `development` or `test`, by domain: all texts of a domain in a language go together."""
    digest = hashlib.sha256(f"{text.language}/{text.domain}".encode()).digest()
    share = digest[0] / 256
    return "test" if share < 0.09 else "development" if share < 0.18 else "train"


def split(texts: list[Text]) -> dict[str, list[Text]]:
    parts: dict[str, list[Text]] = {"train": [], "development": [], "test": []}
    for text in texts:
        parts[part_of(text)].append(text)
    return parts
