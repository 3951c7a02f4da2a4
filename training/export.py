"""Writes the detector file of docs/detector-format.md."""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

from activations import OVERLAP, WINDOW
from host_weights import HostWeights
from model import CATEGORIES, LABELS
from train_sae import Sae

POSITIONS = 256
LINEAR = ("attention.query", "attention.key", "attention.value", "attention.output", "up", "down")
NORMS = ("attention.norm", "norm")
LANGUAGES = ["de", "en", "es", "fr", "ja"]


def int8(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows as integers from -127 to 127 with a scale each."""
    scale = np.maximum(np.abs(matrix).max(1), 1e-12).astype(np.float32) / 127
    return np.rint(matrix / scale[:, None]).astype(np.int8), scale


def put(tensors: dict, name: str, matrix) -> None:
    tensors[name], tensors[f"{name}.scale"] = int8(np.asarray(matrix, np.float32))


def vocabulary(weights: HostWeights, kept: np.ndarray) -> dict[str, np.ndarray]:
    pieces = [weights.pieces[i].encode() for i in kept]
    mapped = sorted(weights.map.items())
    targets = [[ord(char) for char in to] for _, to in mapped]
    return {
        "tokenizer.pieces": np.frombuffer(b"".join(pieces), np.uint8),
        "tokenizer.ends": np.cumsum([len(piece) for piece in pieces]).astype(np.uint32),
        "tokenizer.scores": weights.scores[kept].astype(np.float32),
        "tokenizer.map.from": np.array([ord(char) for char, _ in mapped], np.uint32),
        "tokenizer.map.ends": np.cumsum([len(to) for to in targets]).astype(np.uint32),
        "tokenizer.map.to": np.array([point for to in targets for point in to], np.uint32),
    }


def host_tensors(weights: HostWeights, kept: np.ndarray, host) -> dict[str, np.ndarray]:
    state = {name: value.float().numpy() for name, value in host.state_dict().items()}
    blocks = weights.blocks[kept]
    out = {
        "host.embeddings.piece": np.ascontiguousarray(blocks["nibbles"].reshape(len(kept), -1)),
        "host.embeddings.piece.scale": np.ascontiguousarray(blocks["scale"]),
        "host.embeddings.position": state["embeddings.position.weight"][:POSITIONS].astype(np.float16),
        "host.embeddings.feature": state["embeddings.feature.weight"].astype(np.float16),
        "host.embeddings.norm.weight": state["embeddings.norm.weight"],
        "host.embeddings.norm.bias": state["embeddings.norm.bias"],
    }
    for n in range(len(host.layers)):
        for name in LINEAR:
            put(out, f"host.layers.{n}.{name}.weight", state[f"layers.{n}.{name}.weight"])
            out[f"host.layers.{n}.{name}.bias"] = state[f"layers.{n}.{name}.bias"]
        for name in NORMS:
            for part in ("weight", "bias"):
                out[f"host.layers.{n}.{name}.{part}"] = state[f"layers.{n}.{name}.{part}"]
    return out


def sae_tensors(sae: Sae, classifier) -> dict[str, np.ndarray]:
    """JumpReLU. Latents that the classifier and the threshold never let speak stay: the file holds the whole autoencoder."""
    weight, bias = (part.detach() for part in sae.folded())
    return {
        "sae.encoder.weight": weight.half().numpy(),
        "sae.encoder.bias": bias.float().numpy(),
        "sae.threshold": np.full(len(bias), float(sae.threshold), np.float32),
        "classifiers.0.weight": classifier.weight.detach().float().numpy(),
        "classifiers.0.bias": classifier.bias.detach().float().numpy(),
    }


def dense_tensors(head) -> dict[str, np.ndarray]:
    """The host's own head as a detector: the activation in its positive and negative parts is an exact ReLU code. For comparison only."""
    weight, width = head.weight.detach().float().numpy(), head.in_features
    return {
        "sae.encoder.weight": np.concatenate([np.eye(width), -np.eye(width)]).astype(np.float16),
        "sae.encoder.bias": np.zeros(2 * width, np.float32),
        "classifiers.0.weight": np.concatenate([weight, -weight], 1),
        "classifiers.0.bias": head.bias.detach().float().numpy(),
    }


def settings(weights: HostWeights, tokenizer, host, architecture: str, rows: int, decoding: dict, golden: list, scores: dict) -> dict:
    return {
        "format": 1,
        "description": "Names, postal addresses, phone numbers and e-mail addresses in German, English, Spanish, French and Japanese",
        "languages": LANGUAGES,
        "tokenizer": {"kind": "unigram", "begin": tokenizer.begin, "end": tokenizer.end, "unknown": tokenizer.unknown},
        "host": {
            "kind": "bert", "layers": len(host.layers), "width": weights.width, "heads": weights.heads, "intermediate": weights.intermediate,
            "pieces": len(tokenizer.kept), "positions": POSITIONS, "epsilon": weights.epsilon, "features": "shape-gap",
        },
        "sae": {"architecture": architecture, "d_model": weights.width, "width": rows, "rows": rows},
        "classifiers": [{"kind": "logistic", "link": "softmax", "labels": LABELS}],
        "decoding": {"window": WINDOW, "overlap": OVERLAP, "categories": decoding},
        "golden": golden,
        "scores": scores,
    }


# What a file says before it is calibrated: every candidate, and its probability as confidence.
EVERYTHING = {category: {"threshold": 0, "calibration": [[0, 0], [1, 1]]} for category in CATEGORIES}


def write(path: pathlib.Path, loaded, code: dict[str, np.ndarray], decoding=EVERYTHING, golden=(), scores=None) -> None:
    """loaded: what `load_host` gives; code: `sae_tensors` or `dense_tensors`."""
    weights, tokenizer, host = loaded
    architecture = "jumprelu" if "sae.threshold" in code else "relu"
    said = settings(weights, tokenizer, host, architecture, len(code["sae.encoder.bias"]), decoding, list(golden), scores or {})
    tensors = vocabulary(weights, tokenizer.kept) | host_tensors(weights, tokenizer.kept, host) | code
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"strongroom.detector": json.dumps(said, ensure_ascii=False, sort_keys=True)})


def load_sae(path: str):
    saved = torch.load(path, weights_only=True)
    width, width_in = saved["sae"]["encoder"].shape
    sae, classifier = Sae(width_in, width), torch.nn.Linear(width, len(LABELS))
    sae.load_state_dict(saved["sae"])
    classifier.load_state_dict(saved["classifier"])
    return sae, classifier, saved["report"]
