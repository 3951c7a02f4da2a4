"""Which of the host's 250,002 pieces the detector keeps: everything the languages need, nothing of other scripts."""

import unicodedata

import numpy as np

from host_weights import HostWeights

JAPANESE = ("HIRAGANA", "KATAKANA", "CJK", "HALFWIDTH KATAKANA", "KATAKANA-HIRAGANA")


def is_wanted(piece: str) -> bool:
    """Latin, Japanese, or no letters at all."""
    for char in piece.lstrip("▁"):
        if char.isalpha():
            name = unicodedata.name(char, "?")
            if not name.startswith(("LATIN", "FULLWIDTH LATIN", *JAPANESE)):
                return False
    return True


def kept_pieces(host: HostWeights, size: int) -> np.ndarray:
    """Numbers of the pieces kept, ascending. Pieces stand in the order of their frequency, so the rarest are left out."""
    single = {i for i, piece in enumerate(host.pieces) if len(piece.lstrip("▁")) <= 1}
    kept = {host.begin, host.end, host.unknown} | single
    for i, piece in enumerate(host.pieces):
        if len(kept) >= size:
            break
        if i >= 4 and is_wanted(piece):
            kept.add(i)
    return np.array(sorted(kept))
