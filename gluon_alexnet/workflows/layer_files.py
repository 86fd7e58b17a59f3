"""cuda-convnet's layer files as what is trained, or shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest
from ..importers import cuda_convnet
from ..model import graph_shapes
from ..recipes.layer_graph import LayerGraph
from ..recipes.presets import AS_RUN
from ..recipes.schema import Learning, Recipe

INPUT_SIZE = 224  # pixels: the files do not tell


@dataclass(frozen=True)
class LayerLine:
    """One layer, for a table."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: tuple[int, ...]  # of one image: (channels, side, side) or (outputs,)
    parameters: int
    device: int


def recipe_of(layers: Path, params: Path, input_size: int = INPUT_SIZE, initialized: bool = False) -> Recipe:
    """A recipe that trains the net of a pair of files, with their rates; images are augmented as for net #145.

    initialized: initial parameters come from another net. Raises InvalidRequest for what is no such pair, and for files
    whose initial weights a program of their author's took from another net, unless initialized.
    """
    net = cuda_convnet.read(layers, params, input_size)
    if net.functions and not initialized:
        raise InvalidRequest(
            f"{layers.name} takes initial weights from another net by its author's program ({net.functions[0]} and "
            f"{len(net.functions) - 1} other layers have initWFunc=), which is not run: name that net with `init_from`."
        )
    return Recipe(layers.stem, net.graph, AS_RUN.augmentation, Learning(updates=net.updates, drops_on_plateau=False))


def lines_of(layers: Path, input_size: int = INPUT_SIZE) -> tuple[LayerGraph, list[LayerLine]]:
    """The layers of a file, in its order, without its parameter file. Raises InvalidRequest as :func:`recipe_of`."""
    graph = cuda_convnet.read(layers, None, input_size).graph
    outputs, counts = graph_shapes.shapes(graph), graph_shapes.parameter_count(graph)
    return graph, [
        LayerLine(layer.name, layer.kind, layer.inputs, outputs[layer.name], counts.get(layer.name, 0), layer.device)
        for layer in graph.layers
    ]


def check_memory(recipe: Recipe, contexts: Sequence[Any], available: int | None = None) -> None:
    """Raise InvalidRequest, before any is taken, where training a layer graph needs more memory than there is.

    available: bytes; None asks the system for what programs may still take. GPUs are not asked.
    """
    if not isinstance(recipe.network, LayerGraph) or any(context.device_type != "cpu" for context in contexts):
        return
    batch_size = recipe.learning.batch_size
    needed = graph_shapes.training_bytes(recipe.network, batch_size)
    free = _available() if available is None else available
    if needed > free:
        raise InvalidRequest(
            f"Training {recipe.network.source} in batches of {batch_size} needs {needed / 2**30:.1f} GiB of memory at "
            f"least, and {free / 2**30:.1f} GiB are free: take a smaller batch size or another net."
        )


def _available() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError, IndexError):
        return math.inf
