"""What docs/detector-format.md says is computed, in NumPy: python3 forward.py DETECTOR INPUTS, JSON in and out."""

import json
import math
import struct
import sys

import numpy as np

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "U8": "u1", "U32": "<u4", "I32": "<i4"}


class File:
    def __init__(self, path):
        data = open(path, "rb").read()
        (length,) = struct.unpack_from("<Q", data)
        self.entries = json.loads(data[8 : 8 + length])
        self.data = data[8 + length :]
        self.settings = json.loads(self.entries.pop("__metadata__")["strongroom.detector"])

    def raw(self, name):
        entry = self.entries[name]
        begin, end = entry["data_offsets"]
        values = np.frombuffer(self.data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        return entry["dtype"], values

    def __call__(self, name):
        dtype, values = self.raw(name)
        if dtype == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if dtype == "I8":
            values = values.astype(np.float64) * self(name + ".scale")[:, None]
        if dtype == "U8":
            blocks = values.reshape(len(values), -1, 16)
            values = np.concatenate([blocks & 15, blocks >> 4], -1).astype(np.float64) - 8
            values = (values * self(name + ".scale")[..., None]).reshape(len(values), -1)
        return values.astype(np.float64) if dtype not in ("U32", "I32") else values

    def linear(self, name, x):
        return x @ self(name + ".weight").T + self(name + ".bias")

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + self.settings["host"]["epsilon"])
        return x * self(name + ".weight") + self(name + ".bias")


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


gelu = np.vectorize(lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))))


def host(file, pieces, features, mask):
    settings = file.settings["host"]
    length, heads = len(pieces), settings["heads"]
    x = file("host.embeddings.piece")[pieces] + file("host.embeddings.position")[:length]
    if settings["features"]:
        x = x + file("host.embeddings.feature")[features]
    x = file.norm("host.embeddings.norm", x)
    hidden = np.where(np.array(mask) == 1, 0, -np.inf)
    for n in range(settings["layers"]):
        layer = f"host.layers.{n}"
        split = lambda part: file.linear(f"{layer}.attention.{part}", x).reshape(length, heads, -1).transpose(1, 0, 2)
        q, k, v = split("query"), split("key"), split("value")
        shares = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]) + hidden)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(length, -1)
        x = file.norm(f"{layer}.attention.norm", x + file.linear(f"{layer}.attention.output", mixed))
        x = file.norm(f"{layer}.norm", x + file.linear(f"{layer}.down", gelu(file.linear(f"{layer}.up", x))))
    return x


def latents(file, before):
    sae = file.settings["sae"]
    if sae["architecture"] == "jumprelu":
        return np.where(before > file("sae.threshold"), before, 0)
    positive = np.maximum(before, 0)
    if sae["architecture"] == "topk":
        order = np.argsort(-positive, 1, kind="stable")[:, : sae["k"]]
        kept = np.zeros_like(positive)
        np.put_along_axis(kept, order, np.take_along_axis(positive, order, 1), 1)
        return kept
    return positive


def trees(file, name, aggregate, z):
    field = lambda part: file(f"{name}.{part}")
    out = []
    for row in z.astype(np.float32):
        leaves = []
        for node in field("roots"):
            while field("feature")[node] != -1:
                goes_left = row[field("feature")[node]] <= np.float32(field("threshold")[node])
                node = field("left" if goes_left else "right")[node]
            leaves.append(field("value")[node])
        out.append((np.mean if aggregate == "mean" else np.sum)(leaves, 0) + field("base"))
    return np.array(out)


def probabilities(file, z):
    links = {"softmax": softmax, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "identity": lambda x: np.clip(x, 0, 1)}
    parts = []
    for n, classifier in enumerate(file.settings["classifiers"]):
        name = f"classifiers.{n}"
        scores = file.linear(name, z) if classifier["kind"] == "logistic" else trees(file, name, classifier["aggregate"], z)
        parts.append(links[classifier["link"]](scores))
    return np.concatenate(parts, -1)


def main(path, inputs):
    file = File(path)
    asked = json.load(open(inputs))
    x = np.array(asked["activations"]) if "activations" in asked else host(file, asked["pieces"], asked["features"], asked["mask"])
    before = file.linear("sae.encoder", x)
    # The classifiers judge the latents that the graph found, so that a latent on its threshold makes no difference.
    found = np.array(asked["latents"])
    print(json.dumps({"latents": latents(file, before).tolist(), "probabilities": probabilities(file, found).tolist()}))


main(*sys.argv[1:])
