"""A checkpoint of about so many megabytes, as a language model's training script saves it.

Usage: make.py FILE MEGABYTES. Needs torch. A transformer in bfloat16 with norms in float32, whose embedding is tied to
its head; one matrix of each second layer is a transposed view, as in models that came from another framework, about one
byte in 26 of the file. Prints what it made, as JSON.
"""

import json
import sys
from pathlib import Path

import torch

VOCABULARY = 8192
LAYER = 4 + 3 * 3  # matrices of width × width
WIDTHS = (128, 256, 512, 1024, 2048, 4096)


def shape_of(megabytes: int) -> tuple[int, int]:
    """The width and the number of layers: at least four."""
    numbers = megabytes * 1_000_000 // 2
    width = max(w for w in WIDTHS if w == WIDTHS[0] or (VOCABULARY + 4 * LAYER * w) * w <= numbers)
    return width, max(1, round((numbers - VOCABULARY * width) / (LAYER * width * width)))


def state_dict(megabytes: int) -> dict[str, torch.Tensor]:
    width, layers = shape_of(megabytes)
    generator = torch.Generator().manual_seed(1)

    def weight(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator).mul_(0.02).bfloat16()

    tensors = {"embed.weight": weight(VOCABULARY, width)}
    for i in range(layers):
        layer = {f"attention.{name}": weight(width, width) for name in "qkvo"}
        layer |= {f"mlp.{name}": weight(3 * width, width) for name in ("gate", "up")}
        layer["mlp.down"] = weight(width, 3 * width)
        if i % 2 == 0:
            layer["attention.o"] = layer["attention.o"].t()
        layer |= {f"{name}_norm": torch.ones(width) for name in ("attention", "mlp")}
        tensors |= {f"layers.{i}.{name}.weight": tensor for name, tensor in layer.items()}
    tensors["head.weight"] = tensors["embed.weight"]
    return tensors


def main() -> None:
    path, megabytes = Path(sys.argv[1]), int(sys.argv[2])
    tensors = state_dict(megabytes)
    torch.save({"model_state_dict": tensors, "epoch": 3, "loss": 0.25}, path)
    views = sum(t.nbytes for t in tensors.values() if not t.is_contiguous())
    print(json.dumps({"bytes": path.stat().st_size, "tensors": len(tensors), "views": views, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
