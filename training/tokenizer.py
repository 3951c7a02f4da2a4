"""The Unigram tokenizer of docs/detector-format.md, on Hugging Face `tokenizers`, with offsets into the text as it was given."""

import unicodedata

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from host_weights import HostWeights


class Unigram:
    def __init__(self, host: HostWeights, kept: np.ndarray):
        self.map = host.map
        self.kept = kept
        number = {int(piece): i for i, piece in enumerate(kept)}
        self.begin, self.end, self.unknown = number[host.begin], number[host.end], number[host.unknown]
        pieces = [(host.pieces[i], float(host.scores[i])) for i in kept]
        self.tokenizer = Tokenizer(models.Unigram(pieces, unk_id=self.unknown, byte_fallback=False))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)

    def normalised(self, text: str) -> tuple[str, list[int]]:
        out, source = [], []
        for at, char in enumerate(text):
            for mapped in self.map.get(char, char):
                if mapped == " " and out and out[-1] == " ":
                    continue
                out.append(mapped)
                source.append(at)
        return "".join(out), source

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Pieces, and the range of the text that each came from; a bare word-start mark has an empty one."""
        normal, source = self.normalised(text)
        encoded = self.tokenizer.encode(normal, add_special_tokens=False)
        offsets = []
        for begin, end in encoded.offsets:
            while begin < end and normal[begin] == " ":
                begin += 1
            if begin < end and not (end - begin == 1 and begin == 0 and encoded.tokens[len(offsets)] == "▁"):
                offsets.append((source[begin], source[end - 1] + 1))
            else:
                at = source[begin - 1] + 1 if 0 < begin <= len(source) else 0
                offsets.append((at, at))
        return encoded.ids, offsets


def categories(text: str) -> list[str]:
    return [unicodedata.category(char) for char in text]


def shape(text: str) -> int:
    kinds = categories(text)
    if not kinds:
        return 0
    if all(kind == "Nd" for kind in kinds):
        return 5
    if not any(kind[0] in "LN" for kind in kinds):
        return 6
    upper = [kind in ("Lu", "Lt") for kind in kinds]
    if "Ll" in kinds and not any(upper):
        return 1
    if len(kinds) == 1 and upper[0]:
        return 8
    if any(upper) and "Ll" not in kinds:
        return 3
    if upper[0] and not any(upper[1:]):
        return 2
    if any(upper) or "Ll" in kinds:
        return 4
    return 7


def gap(text: str) -> int:
    if not text:
        return 0
    if "\n" in text:
        return 2
    return 1 if len(text) == 1 else 3


def features(text: str, offsets) -> list[int]:
    out, read = [], 0
    for begin, end in offsets:
        out.append(4 * shape(text[begin:end]) + gap(text[read:begin]))
        read = max(read, end)
    return out
