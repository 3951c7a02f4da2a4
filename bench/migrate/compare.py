"""Whether a safetensors file holds, bit for bit, what torch reads from a checkpoint.

Usage: compare.py CHECKPOINT SAFETENSORS [KEY]. KEY leads to the weights. Tied names must be told in the file's metadata.
Needs torch and safetensors. Reads a tensor at a time; prints their number, or fails at the first that differs.
"""

import sys

import torch
from safetensors import safe_open


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def main() -> None:
    weights = torch.load(sys.argv[1], weights_only=True, mmap=True, map_location="cpu")
    if len(sys.argv) > 3:
        weights = weights[sys.argv[3]]
    with safe_open(sys.argv[2], "pt") as file:
        kept, tied = set(file.keys()), file.metadata()
        for name, wanted in weights.items():
            found = file.get_tensor(name if name in kept else tied[name])
            if (found.dtype, found.shape) != (wanted.dtype, wanted.shape) or not torch.equal(bits(found), bits(wanted)):
                sys.exit(f"{name} differs")
        if not kept <= set(weights):
            sys.exit("it holds tensors that the checkpoint does not")
    print(len(weights))


if __name__ == "__main__":
    main()
