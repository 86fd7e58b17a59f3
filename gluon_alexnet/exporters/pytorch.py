"""A net for PyTorch: OUT.py, a module of its own, and OUT.safetensors, which it loads; and the proof by PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest, OperationFailed
from ..model import layer_chain as chain
from .files import TOLERANCE_OF_OTHERS, Publication
from .pytorch_source import source

RUN_SECONDS = 600  # that loading PyTorch and a few images may take


def write_beside(pair: Path, size: int, classes: Sequence[dict]) -> None:
    """Write PAIR.py and PAIR.safetensors from PAIR-symbol.json and PAIR-0000.params.

    size: height and width of the input. classes: in label order. Raises InvalidRequest where the graph is no chain of
    AlexNet's layers; OperationFailed where an array is not finite, or the arrays are not read back as they were.
    """
    from safetensors.numpy import load_file

    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(pair), 0)
    layers = chain.read(symbol, size)
    arrays = {name: value.asnumpy() for name, value in {**arguments, **auxiliary}.items()}
    write(pair, layers, arrays, classes)
    found, expected = load_file(f"{pair}.safetensors"), tensors(layers, arrays)
    if found.keys() != expected.keys() or any(not np.array_equal(found[name], expected[name]) for name in expected):
        raise OperationFailed(f"{pair.name}.safetensors was not read back as it was written; nothing was written.")


def verify(
    publication: Publication, draft: Path, images: np.ndarray, expected: np.ndarray, python: str | None = None
) -> dict[str, float]:
    """Largest difference of PyTorch with the draft's OUT.py; empty where there is no PyTorch to ask.

    images: uint8 (N, size, size, 3). expected: probabilities (N, classes). python: one that has torch and
    safetensors; None: this one, if it has them. Raises OperationFailed where the difference is too large or the module
    does not run, InvalidRequest where there is no such Python.
    """
    python = python or (sys.executable if find_spec("torch") else None)
    if python is None:
        return {}
    runners = {"PyTorch": lambda path, images: _by_pytorch(python, path, images)}
    return publication.verify(draft, runners, images, expected, TOLERANCE_OF_OTHERS)


def _by_pytorch(python: str, path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities by the module PATH.py in a process of its own: gluoncv is another program where it finds torch."""
    given, found = path.with_name("images.npy"), path.with_name("probabilities.npy")
    np.save(given, network_order(images))
    words = [python, "-c", _RUN, f"{path}.py", str(given), str(found)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_SECONDS)
    except OSError as error:
        raise InvalidRequest(f"{python} cannot be started: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise OperationFailed(f"{path.name}.py has not finished in {RUN_SECONDS} s in {python}.") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise OperationFailed(f"{path.name}.py does not run in {python}: {last}")
    return np.load(found)


def write(pair: Path, layers: Sequence[chain.Layer], arrays: Mapping[str, np.ndarray], classes: Sequence[dict]) -> None:
    """Write PAIR.py and PAIR.safetensors.

    layers: of the exported graph, from :func:`gluon_alexnet.model.layer_chain.read`. arrays: float32 by the graph's
    names (conv1_weight, mean). classes: in label order. Raises OperationFailed where an array is not finite.
    """
    from safetensors.numpy import save

    metadata = {"format": "pt", "classes": json.dumps(list(classes), ensure_ascii=False)}
    Path(f"{pair}.safetensors").write_bytes(save(tensors(layers, arrays), metadata))
    Path(f"{pair}.py").write_text(source(pair.name, layers), encoding="utf-8")


def tensors(layers: Iterable[chain.Layer], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by PyTorch's names (conv1.weight, mean.value), float32. Raises OperationFailed for NaN or infinity."""
    named = {}
    for layer in layers:
        if isinstance(layer.kind, chain.Subtract):
            array = arrays[layer.kind.parameter]
            named[f"{layer.name}.value"] = array.reshape(layer.kind.shape)
        elif isinstance(layer.kind, (chain.Convolution, chain.FullyConnected)):
            for part in ("weight", "bias"):
                named[f"{layer.name}.{part}"] = arrays[f"{layer.name}_{part}"]
    for name, array in named.items():
        if not np.isfinite(array).all():
            raise OperationFailed(f"{name} holds what is not a number: such a net is not exported.")
    return {name: np.ascontiguousarray(array, np.float32) for name, array in named.items()}


_RUN = """
import importlib.util, sys
import numpy, torch

file, images, probabilities = sys.argv[1:]
spec = importlib.util.spec_from_file_location("exported", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with torch.no_grad():
    found = module.load()(torch.from_numpy(numpy.load(images))).softmax(1)
numpy.save(probabilities, found.numpy())
"""
