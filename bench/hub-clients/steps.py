"""Operations of a client, one after the other, each told of on a line of JSON on standard output.

A step is a function under `@step`; the first line of its docstring says what a user can rely on, its name is the
operation. It fails by raising. What a client prints goes to standard error, so that it can't be taken for a result.
"""

import inspect
import json
import logging
import os
import pathlib
import tempfile
import time
import traceback

import numpy
from huggingface_hub.utils import _http
from safetensors.numpy import save_file

_steps = []
FOLDER = pathlib.Path(os.environ["HF_HOME"]).parent


class NotOffered(Exception):
    """This version of the client has no such operation."""


def offered(function, *parameters):
    """The function, unless this version lacks it or one of the parameters."""
    if function is None or not set(parameters) <= set(inspect.signature(function).parameters):
        raise NotOffered
    return function


def step(function):
    _steps.append(function)
    return function


def _outcome(function):
    try:
        function()
    except NotOffered:
        return {"outcome": "not offered"}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        lines = [f"{frame.name}: {frame.line}" for frame in where]
        return {"outcome": "failed", "why": "\n".join([*lines, f"{type(error).__name__}: {error}"])}
    return {"outcome": "held"}


def run():
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for function in _steps:
        began = time.monotonic()
        told = {
            "operation": function.__name__,
            "promise": function.__doc__.strip().splitlines()[0],
            **_outcome(function),
            "seconds": round(time.monotonic() - began, 3),
        }
        print(json.dumps(told), file=results, flush=True)


def brief(value):
    return repr(value)[:1000]


def same(actual, expected):
    if actual != expected:
        raise AssertionError(f"{brief(actual)} is not {brief(expected)}")


def holds(part, whole):
    if part not in whole:
        raise AssertionError(f"{part!r} is not in {brief(whole)}")


def raised(kind, function, *args, **kwargs):
    """The error of that class that the call must end with."""
    try:
        value = function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"nothing was raised, but {value!r} returned")


class Heard(logging.Handler):
    """What the client told its user."""

    def __init__(self):
        super().__init__()
        self.said = ""
        logging.getLogger("huggingface_hub").addHandler(self)

    def emit(self, record):
        self.said += record.getMessage() + "\n"

    def hears(self, part):
        # Clients before it know nothing of warnings.
        if not hasattr(_http, "_warn_on_warning_headers"):
            raise NotOffered
        holds(part, self.said)


def folder():
    return pathlib.Path(tempfile.mkdtemp(dir=FOLDER))


def tensors(seed, count=4, size=4096):
    random = numpy.random.default_rng(seed)
    return {f"layer.{i}": random.standard_normal(size, dtype=numpy.float32) for i in range(count)}


def weights(path, seed=0, count=4, size=4096):
    """A safetensors file of random floats; the same seed, the same bytes."""
    save_file(tensors(seed, count, size), path, metadata={"format": "pt"})
    return path


def sharded(where, seed=0, shards=2):
    """A model of several shards with its index, configuration, tokenizer and card, as `save_pretrained` leaves it."""
    weight_map = {}
    for i in range(shards):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {f"{i}.{key}": value for key, value in tensors(seed + i).items()}
        save_file(part, where / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, name))
    total = shards * 4 * 4096 * 4
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (where / "model.safetensors.index.json").write_text(json.dumps(index))
    (where / "config.json").write_text(json.dumps({"model_type": "bert", "seed": seed}))
    (where / "tokenizer.json").write_text(json.dumps({"version": "1.0", "seed": seed}))
    (where / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    return where


def read(path):
    return pathlib.Path(path).read_bytes()


def contents(where):
    """Every file below a folder, the client's own notes aside."""
    return {
        str(path.relative_to(where)): path.read_bytes()
        for path in sorted(where.rglob("*"))
        if path.is_file() and ".cache" not in path.relative_to(where).parts
    }
