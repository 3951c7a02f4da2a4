"""What a detector file finds, asked of the server's own code: training has no second copy of tokenizer, windows, rules and spans."""

import json
import pathlib
import subprocess

from texts import Text

ROOT = pathlib.Path(__file__).parent.parent
NODE = ROOT / "node_modules" / ".bin" / "node"


def candidates(file: pathlib.Path, texts: list[Text]) -> list[list[dict]]:
    """For each text its spans [{category, start, end, probability, confidence}], in code points."""
    asked = "".join(json.dumps({"text": t.text}) + "\n" for t in texts)
    node = str(NODE) if NODE.exists() else "node"
    done = subprocess.run([node, str(ROOT / "training" / "spans.ts"), str(file)], input=asked.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line)["spans"] for line in done.stdout.decode().splitlines()]


def spans_at(found: list[list[dict]], confidence: float) -> list[list[tuple[int, int, str]]]:
    return [[(s["start"], s["end"], s["category"]) for s in spans if s["confidence"] >= confidence] for spans in found]
