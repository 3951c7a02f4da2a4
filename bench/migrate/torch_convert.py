"""What a script does that migrates with torch: torch.load, and safetensors.torch's save_file.

Usage: torch_convert.py CHECKPOINT TARGET. Prints seconds (imports, load, save, sync) and the most memory that was
resident, as JSON. Views are made contiguous and of tied tensors one is written: save_file refuses them.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

began = time.perf_counter()

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

imported = time.perf_counter()


def untied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    seen = set()
    kept = {}
    for name, tensor in tensors.items():
        view = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if view not in seen:
            kept[name] = tensor.contiguous()
        seen.add(view)
    return kept


checkpoint = torch.load(sys.argv[1], weights_only=True, map_location="cpu")
loaded = time.perf_counter()
save_file(untied(checkpoint["model_state_dict"]), sys.argv[2], metadata={"format": "pt"})
saved = time.perf_counter()
with open(sys.argv[2], "rb+") as target:
    os.fsync(target.fileno())
synced = time.perf_counter()
peak = int(re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE).group(1))
print(
    json.dumps(
        {
            "imports": imported - began,
            "load": loaded - imported,
            "save": saved - loaded,
            "sync": synced - saved,
            "peak": peak * 1024,
        }
    )
)
