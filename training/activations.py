"""Activations of the host over whole texts, window by window, each piece where it is farthest from a cut."""

from dataclasses import dataclass

import numpy as np
import torch

from texts import Text
from tokenizer import Unigram, features

WINDOW, OVERLAP = 126, 32


@dataclass
class Read:
    text: Text
    offsets: list[tuple[int, int]]
    activations: torch.Tensor  # [pieces, width], f16


def windows(count: int) -> list[tuple[int, int]]:
    """As docs/detector-format.md has them: neighbours overlap, the last one ends with the text, where it may be shorter."""
    begins = range(0, max(count - OVERLAP, 1), WINDOW - OVERLAP)
    return [(begin, min(begin + WINDOW, count)) for begin in begins]


def keep(cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The part of each window in which its pieces are farther from a cut than in the neighbours."""
    middles = [(a_end + b_begin + 1) // 2 for (_, a_end), (b_begin, _) in zip(cuts, cuts[1:])]
    return list(zip([cuts[0][0]] + middles, middles + [cuts[-1][1]]))


@torch.no_grad()
def read(host, tokenizer: Unigram, texts: list[Text], batch=64) -> list[Read]:
    host.eval()
    width = host.embeddings["piece"].weight.shape[1]
    reads, jobs = [], []
    for n, text in enumerate(texts):
        pieces, offsets = tokenizer.encode(text.text)
        shapes = features(text.text, offsets)
        reads.append(Read(text, offsets, torch.zeros(len(pieces), width, dtype=torch.float16)))
        if pieces:
            cuts = windows(len(pieces))
            jobs += [(n, cut, kept, pieces[slice(*cut)], shapes[slice(*cut)]) for cut, kept in zip(cuts, keep(cuts))]
    jobs.sort(key=lambda job: len(job[3]))
    for at in range(0, len(jobs), batch):
        group = jobs[at : at + batch]
        longest = max(len(job[3]) for job in group) + 2
        p, s, m = (torch.zeros(len(group), longest, dtype=torch.long) for _ in range(3))
        for i, (_, _, _, pieces, shapes) in enumerate(group):
            n = len(pieces)
            p[i, : n + 2] = torch.tensor([tokenizer.begin, *pieces, tokenizer.end])
            s[i, 1 : n + 1], m[i, : n + 2] = torch.tensor(shapes), 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = host.hidden(p, s, m)[-1].half()
        for i, (n, (begin, _), (first, last), _, _) in enumerate(group):
            reads[n].activations[first:last] = hidden[i, 1 + first - begin : 1 + last - begin]
    return reads


def with_text(read: Read) -> np.ndarray:
    """Which pieces have a range of text."""
    return np.array([begin < end for begin, end in read.offsets], dtype=bool)
