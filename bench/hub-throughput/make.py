"""`PATH MEGABYTES SEED`: a safetensors file of normally distributed weights, in which no two parts are alike."""

import sys

import numpy
from safetensors.numpy import save_file

path, megabytes, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = numpy.random.default_rng(seed)
TENSOR = 64
tensors = {
    f"layers.{i}.weight": random.standard_normal(TENSOR * 1024 * 256, dtype=numpy.float32) * numpy.float32(0.02)
    for i in range(megabytes // TENSOR)
}
save_file(tensors, path, metadata={"format": "pt"})
