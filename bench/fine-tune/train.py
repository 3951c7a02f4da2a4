"""A transformer encoder with random weights, and the same after its classification head was trained by gradient descent.

Usage: train.py FOLDER. Writes base.safetensors and tuned.safetensors there and prints what the training did, as JSON.
Needs numpy and safetensors. The body stays frozen, as in fine-tuning by linear probing; the head's loss really falls.
"""

import json
import sys

import numpy as np
from safetensors.numpy import save_file

LAYERS, WIDTH, HEADS, VOCABULARY, CLASSES = 4, 512, 8, 8000, 20
SEQUENCES, LENGTH, STEPS, RATE = 256, 16, 200, 0.5

rng = np.random.default_rng(0)


def weight(*shape):
    return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def make_base():
    tensors = {"embed.weight": weight(VOCABULARY, WIDTH)}
    for i in range(LAYERS):
        for name in "qkvo":
            tensors[f"layers.{i}.{name}.weight"] = weight(WIDTH, WIDTH)
        tensors[f"layers.{i}.up.weight"] = weight(4 * WIDTH, WIDTH)
        tensors[f"layers.{i}.down.weight"] = weight(WIDTH, 4 * WIDTH)
        tensors[f"layers.{i}.norm.weight"] = np.ones(WIDTH, np.float32)
    tensors["head.weight"] = weight(CLASSES, WIDTH)
    tensors["head.bias"] = np.zeros(CLASSES, np.float32)
    return tensors


def normalized(x):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def features(tensors, tokens):
    """[sequences, WIDTH]: the mean over the last layer's outputs."""
    x = tensors["embed.weight"][tokens]
    split = (len(tokens), LENGTH, HEADS, WIDTH // HEADS)
    for i in range(LAYERS):
        w = {k: tensors[f"layers.{i}.{k}.weight"] for k in ("q", "k", "v", "o", "up", "down", "norm")}
        y = normalized(x) * w["norm"]
        q, k, v = ((y @ w[name].T).reshape(split).transpose(0, 2, 1, 3) for name in "qkv")
        attention = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS)) @ v
        x = x + attention.transpose(0, 2, 1, 3).reshape(x.shape) @ w["o"].T
        x = x + np.maximum(normalized(x) @ w["up"].T, 0) @ w["down"].T
    return normalized(x.mean(1))


def train(tensors, x, labels):
    """The head after STEPS of gradient descent on the cross entropy, and its losses."""
    w, b = tensors["head.weight"].copy(), tensors["head.bias"].copy()
    wanted = np.eye(CLASSES, dtype=np.float32)[labels]
    losses = []
    for _ in range(STEPS):
        p = softmax(x @ w.T + b)
        losses.append(float(-np.log((p * wanted).sum(-1)).mean()))
        slope = (p - wanted) / len(x)
        w -= RATE * (slope.T @ x)
        b -= RATE * slope.sum(0)
    return {**tensors, "head.weight": w, "head.bias": b}, losses


labels = rng.integers(0, CLASSES, SEQUENCES)
# A class speaks of its own part of the vocabulary.
tokens = labels[:, None] * (VOCABULARY // CLASSES) + rng.integers(0, VOCABULARY // CLASSES, (SEQUENCES, LENGTH))
base = make_base()
tuned, losses = train(base, features(base, tokens), labels)
save_file(base, f"{sys.argv[1]}/base.safetensors", {"format": "pt", "step": "0"})
save_file(tuned, f"{sys.argv[1]}/tuned.safetensors", {"format": "pt", "step": str(STEPS)})
print(json.dumps({"parameters": sum(t.size for t in base.values()), "loss_before": losses[0], "loss_after": losses[-1]}))
