"""A deployed net on a CPU as `predict`, `eval` and `serve` run it: prepared pixels, oneDNN's layouts, no copies."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import amp, mx
from . import cpu_graph
from .cpu_writer import PIXEL
from .pixels import Preparation, on_device

_MANY = 64  # images from which oneDNN multiplies in another layout


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
    forms = _Forms(graph, used)
    preparation = Preparation(arrays[prepared.mean].asnumpy()[0], prepared.border)

    def classify(images: np.ndarray) -> np.ndarray:
        pixels = preparation.take(images)
        found = forms.run(on_device(pixels, mx.cpu())).asnumpy()
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


class _Forms:
    """A graph as one operator for few images and as one for many.

    oneDNN brings the weights of the fully connected layers, 234 MB in the paper's net, into one layout for few images
    and into another for many: one operator for both would bring them to and fro. Each is made when it is needed.
    """

    def __init__(self, symbol: Any, arrays: dict[str, Any]) -> None:
        self._symbol, self._arrays, self._lock = symbol, arrays, threading.Lock()
        self._made: dict[bool, tuple[Any, list]] = {}
        # MXNet cannot bring bfloat16 back from oneDNN's layout: the other form's weights are kept from the beginning.
        self._kept = {
            name: array.copy() for name, array in arrays.items() if name.endswith(PIXEL) and array.dtype != np.float32
        }

    def run(self, data: Any) -> Any:
        """What the graph gives for prepared pixels (N, 3, height, width)."""
        many = len(data) >= _MANY
        if many not in self._made:
            with self._lock:
                if many not in self._made:
                    self._made[many] = self._form()
        operator, arrays = self._made[many]
        return operator(*(data if array is None else array for array in arrays))

    def _form(self) -> tuple[Any, list]:
        operator, names = _operator(self._symbol)
        arrays = self._arrays
        if self._made:  # by way of NumPy, or those of the other form would come along in its layout
            again = [name for name in arrays if name.endswith(PIXEL) and name not in self._kept]
            arrays = {**arrays, **self._kept, **{name: mx.nd.array(arrays[name].asnumpy()) for name in again}}
        return operator, [None if name == "data" else arrays[name] for name in names]


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
