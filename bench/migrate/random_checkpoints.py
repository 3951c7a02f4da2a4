"""Random checkpoints by torch, and beside each what torch reads from it.

Usage: random_checkpoints.py FOLDER SEED COUNT. Needs torch and safetensors. Writes 0.pt, 0.safetensors, … and prints of
each, as JSON, the key that leads to its weights. Weights are random bits of every dtype that safetensors has, whole and as
views of each other, in dicts, lists and tuples, with other values beside them, in both formats of torch.save.
"""

import collections
import json
import random
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

OLD = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")
NEW = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
LETTERS = "abcxyz_0189.-/ äß中🔥\"\\"


def bits(dtype: torch.dtype, count: int) -> torch.Tensor:
    """Any bits: NaNs of every payload among them."""
    most = 2 if dtype == torch.bool else 256
    return torch.randint(0, most, (count * dtype.itemsize,), dtype=torch.uint8).view(dtype)


def strided(base: torch.Tensor) -> torch.Tensor:
    """Any elements of a tensor of one dimension, some of them more than once."""
    sizes = [random.randint(0, 6) for _ in range(random.randint(0, 4))]
    strides = [random.randint(0, 9) for _ in sizes]
    extent = sum((size - 1) * stride for size, stride in zip(sizes, strides) if size > 0)
    if extent >= len(base):
        return base
    return base.as_strided(sizes, strides, random.randint(0, len(base) - 1 - extent))


def view(base: torch.Tensor) -> torch.Tensor:
    if len(base) < 12:
        return base
    rows = random.randint(2, 4)
    matrix = base[: len(base) // rows * rows].reshape(rows, -1)
    step = random.randint(1, 4)
    kinds = (
        lambda: base,
        lambda: matrix,
        lambda: matrix.t(),
        lambda: matrix[1:, ::step].t(),
        lambda: matrix.unsqueeze(1).transpose(0, 2),
        lambda: base[random.randint(0, 5) : random.randint(6, len(base)) : step],
        lambda: base[3].expand(random.randint(1, 3), 2),
        lambda: base.unfold(0, 3, step),
        lambda: matrix.diagonal(),
        lambda: base[4],
        lambda: base[5:5],
        lambda: strided(base),
    )
    return random.choice(kinds)()


def tensors(dtypes: tuple[str, ...]):
    bases = [bits(getattr(torch, random.choice(dtypes)), random.choice((0, 1, 7, 60, 500))) for _ in range(random.randint(1, 6))]
    for _ in range(random.randint(1, 15)):
        base = random.choice(bases)
        tensor = view(base)
        kind = random.random()
        # A parameter of a byte that can't have a gradient is one all the same.
        yield nn.Parameter(tensor, requires_grad=tensor.is_floating_point() and kind < 0.1) if kind < 0.2 else tensor


def nested(found: list[torch.Tensor], depth: int = 0) -> dict:
    """A dict of them, whose names are told apart by numbers."""
    out = random.choice((dict, collections.OrderedDict))()
    while found:
        name = f"{len(found)}{''.join(random.choices(LETTERS, k=random.randint(0, 8)))}"
        kind = random.random()
        if kind < 0.1 and depth < 3:
            taken = [found.pop() for _ in range(min(len(found), random.randint(1, 3)))]
            out[name] = random.choice((list, tuple))(taken)
        elif kind < 0.2 and depth < 3:
            taken = [found.pop() for _ in range(min(len(found), random.randint(1, 3)))]
            out[name] = nested(taken, depth + 1)
        else:
            out[name] = found.pop()
    return out


def others() -> dict:
    return {
        "epoch": random.randint(-(2**70), 2**70),
        "loss": random.random(),
        "optimizer": {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.randn(3)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]},
        "size": torch.Size([1, 2]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "done": random.choice((True, False, None)),
        "text": "".join(random.choices(LETTERS, k=20)),
    }


def flat(value: object, name: str = ""):
    """Tensors by names that are joined with dots."""
    if isinstance(value, torch.Tensor):
        yield name, value
    else:
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(child, f"{name}.{key}" if name else str(key))


def main() -> None:
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    random.seed(seed)
    torch.manual_seed(seed)
    for i in range(count):
        is_zip = random.random() < 0.7
        weights = nested(list(tensors(OLD + NEW if is_zip else OLD)))
        root = random.choice(("", "state_dict", "ema"))
        value = {**others(), root: weights, **others()} if root else weights
        torch.save(value, folder / f"{i}.pt", _use_new_zipfile_serialization=is_zip)
        read = torch.load(folder / f"{i}.pt", weights_only=True)
        expected = {k: v.detach().clone().contiguous() for k, v in flat(read[root] if root else read)}
        save_file(expected, folder / f"{i}.safetensors")
        print(json.dumps(root))


if __name__ == "__main__":
    main()
