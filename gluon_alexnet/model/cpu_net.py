"""A deployed net on a CPU as `predict`, `eval` and `serve` run it: prepared pixels, oneDNN's layouts, no copies."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import amp, mx
from . import cpu_graph
from .pixels import Preparation


def classifier(block: Any, context: Any) -> Callable[[np.ndarray], np.ndarray] | None:
    """uint8 (M, height, width, 3) → what the block gives, (M, classes), to float32 accuracy; None where it cannot.

    block: one over raw images whose graph begins with the mean image and has one output. Its arrays are taken as they
    are now; small ones are shared, not copied, and must not be replaced.
    """
    symbol = block(mx.sym.var("data"))
    if not isinstance(symbol, mx.sym.Symbol) or len(symbol.list_outputs()) != 1:
        return None
    arrays = {name: parameter.data(context) for name, parameter in block.collect_params().items()}
    prepared = cpu_graph.prepare(symbol, arrays)
    if prepared is None:
        return None
    graph, used = prepared.symbol, prepared.arrays
    if cpu_graph.in_bfloat16(symbol):
        graph, used = _rounded(graph, used)
    operator, names = _operator(graph)
    preparation = Preparation(arrays[prepared.mean].asnumpy()[0], prepared.border)

    def classify(images: np.ndarray) -> np.ndarray:
        pixels = preparation.take(images)
        data = mx.nd.from_numpy(pixels[:], zero_copy=True)  # of a view: MXNet makes what it is given read-only
        found = operator(*(data if name == "data" else used[name] for name in names)).asnumpy()
        preparation.give_back(pixels)
        return found

    return classify


def _rounded(graph: Any, arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The same in bfloat16, its weights rounded once instead of for each batch.

    Layer 1 stays in float32: three maps are too few for oneDNN's multiplication of bfloat16, and its normalisation is
    slow behind what oneDNN takes instead.
    """
    first = cpu_graph.first_layer(graph)
    settings = {"target_dtype": "bfloat16", "excluded_sym_names": first, "cast_optional_params": True}
    graph, arrays, _ = amp.convert_model(graph, arrays, {}, **settings)
    return graph, arrays


def _operator(symbol: Any) -> tuple[Any, list[str]]:
    """The graph as one operator, and the names of the arrays that it takes, in order."""
    names = symbol.list_inputs()
    data = [place for place, name in enumerate(names) if name == "data"]
    learned = [place for place in range(len(names)) if place not in data]
    flags = [("data_indices", data), ("param_indices", learned), ("static_alloc", True)]
    # An int8 net's operators round their weights for each batch unless they may expect the shape of the last one.
    flags += [("static_shape", True)] if "_sg_mkldnn" in symbol.tojson() else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type")
        return mx.nd.CachedOp(symbol, flags), names
