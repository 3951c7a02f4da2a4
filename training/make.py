"""Makes the default detector, from the texts to the file and its scores: python training/make.py [--work FOLDER]

Each step is skipped when its result is in the work folder already. On two cores it takes about two hours.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys

from calibrate import calibration
from export import dense_tensors, load_sae, sae_tensors, write
from metrics import scores
from score import CONFIDENCE
from spans import ROOT, candidates, spans_at
from texts import Text, for_calibration, hand_written, held_out, split
from train_host import load_host

HERE = pathlib.Path(__file__).parent
DETECTOR = ROOT / "detector" / "pii.safetensors"
GOLDEN_PER_LANGUAGE = 3


def step(made: pathlib.Path, *command) -> None:
    if not made.exists():
        subprocess.run([sys.executable, *map(str, command)], check=True)


def golden(texts: list[Text], found: list[list[dict]]) -> list[dict]:
    """Texts whose spans are right and clear: all the engine's arithmetic may differ by is a rounding."""
    out, per_language = [], {}
    for text, spans in sorted(zip(texts, found), key=lambda pair: pair[0].id):
        places = [(s["start"], s["end"], s["category"]) for s in spans]
        clear = all(s["probability"] > 0.97 for s in spans)
        kinds = {category for *_, category in places}
        taken = per_language.setdefault(text.language, [])
        if len(taken) == GOLDEN_PER_LANGUAGE or places != text.spans or not clear or len(text.text) > 500:
            continue
        if (len(taken) == 0) == bool(places) or (places and len(kinds) < 3):
            continue  # the first of a language is free of personal data, the others have much of it
        taken.append(text)
        units = lambda at: len(text.text[:at].encode("utf-16-le")) // 2
        out.append({"text": text.text, "spans": [{"category": c, "start": units(a), "end": units(b)} for a, b, c in places]})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, default=HERE / "made")
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    host, sae = work / "host.pt", work / "sae.pt"
    step(host, HERE / "train_host.py", host)
    step(sae, HERE / "train_sae.py", host, sae)

    loaded = load_host(str(host))
    autoencoder, classifier, report = load_sae(str(sae))
    head = loaded[2].heads[-1]
    codes = {"sae": sae_tensors(autoencoder, classifier), "dense": dense_tensors(head)}
    everyday, development = for_calibration(), split(hand_written())["development"]
    measured = {}
    for name, code in codes.items():
        file = work / f"{name}.safetensors"
        write(file, loaded, code)
        found = candidates(file, development)
        # The everyday texts have 87 addresses, too few for a curve: the development texts have 280.
        decoding = calibration(everyday, candidates(file, everyday)) | {"address": calibration(development, found)["address"]}
        write(file, loaded, code, decoding)
        clear = golden(development, candidates(file, development)) if name == "sae" else []
        measured[name] = {part: scores(texts, spans_at(candidates(file, texts), CONFIDENCE)) for part, texts in (("held-out", held_out()), ("test", split(hand_written())["test"]))}
        write(DETECTOR if name == "sae" else file, loaded, code, decoding, clear, {"confidence": CONFIDENCE, "sae": report, **measured[name]})
        print(name, json.dumps(measured[name], indent=1))
    print(DETECTOR, DETECTOR.stat().st_size, hashlib.sha256(DETECTOR.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
