"""The inside of a net on one device, and the net without one of its parts."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest
from ..model import layer_chain as chain
from .interfaces import WITHOUT_NORMALIZATION, column_switch

NETS_KEPT = 3  # beside the whole net; at full width one without a column takes 230 MB


class NetMicroscope:
    """See :class:`gluon_alexnet.serving.interfaces.Microscope`; every method is for the computing thread.

    block: a hybridized block from raw images (N, 3, size, size) to probabilities, of a run or an exported net. Raises
    InvalidRequest where it is no chain of AlexNet's layers: an int8 net, say, cannot be looked into.
    """

    def __init__(self, block: Any, size: int, context: Any) -> None:
        self._symbol = block(mx.sym.var("data", dtype=np.float32))
        self._parameters, self._context = block.collect_params(), context
        layers = chain.read(self._symbol, size)
        weighted = [one for one in layers if isinstance(one.kind, (chain.Convolution, chain.FullyConnected))]
        groups = {one.name: one.kind.groups for one in weighted if isinstance(one.kind, chain.Convolution)}
        hidden = weighted[:-1]  # the last one's outputs are the classes
        if not groups or any(f"{one.name}_{part}" not in self._parameters for one in weighted for part in _PARTS):
            raise InvalidRequest("The net's layers have not the names of an AlexNet's.")
        self.columns = max(groups.values())
        self.reads_all = frozenset(one.name for one in hidden if groups.get(one.name, 1) == 1)
        normalized = any(isinstance(one.kind, (chain.ResponseNorm, chain.MapNorm)) for one in layers)
        columns = [column_switch(column + 1) for column in range(self.columns)] if self.columns > 1 else []
        self.switches = ([WITHOUT_NORMALIZATION] if normalized else []) + columns
        self._hidden = [one.name for one in hidden]
        self._outputs = [_activation(layers, one).output for one in hidden]
        self._kernels = self._parameters[f"{next(iter(groups))}_weight"]
        self._nets: OrderedDict[frozenset[str], Any] = OrderedDict()

    def kernels(self) -> np.ndarray:
        """Weights of layer 1, float32 (kernels, 3, height, width)."""
        return self._kernels.data(self._context).asnumpy()

    def classify(self, views: np.ndarray, without: frozenset[str]) -> np.ndarray:
        """uint8 (M, size, size, 3) → float32 (M, classes) of the net without these parts."""
        return self._run(views, without)[0].asnumpy()

    def activations(self, view: np.ndarray, without: frozenset[str]) -> dict[str, np.ndarray]:
        """Layer's name → float32 (maps, height, width) after its activation; a column that is left out is zero."""
        maps = [output.asnumpy()[0] for output in self._run(view[None], without)[1:]]
        return {name: one.reshape(len(one), *(one.shape[1:] or (1, 1))) for name, one in zip(self._hidden, maps)}

    def _run(self, views: np.ndarray, without: frozenset[str]) -> Any:
        if without not in self._nets:
            self._nets[without] = self._build(without)
        self._nets.move_to_end(without)
        while len(self._nets) > NETS_KEPT:
            self._nets.popitem(last=False)
        return self._nets[without](mx.nd.array(network_order(views), ctx=self._context))

    def _build(self, without: frozenset[str]) -> Any:
        """A block with the probabilities and every hidden layer's activations as outputs, sharing what is the same."""
        symbol = _without_normalization(self._symbol) if WITHOUT_NORMALIZATION in without else self._symbol
        internals = symbol.get_internals()
        group = mx.sym.Group([symbol, *(internals[output] for output in self._outputs)])
        parameters = mx.gluon.ParameterDict()
        parameters.update(self._parameters)
        absent = [column for column in range(self.columns) if column_switch(column + 1) in without]
        if absent:
            silent = mx.gluon.ParameterDict()
            for name in self._parameters:
                layer, _, part = name.rpartition("_")
                shared = layer not in self._hidden or part not in _PARTS
                silent.update({name: self._parameters[name] if shared else self._silenced(name, absent)})
            parameters = silent
        block = mx.gluon.SymbolBlock(group, mx.sym.var("data", dtype=np.float32), params=parameters)
        block.hybridize()
        return block

    def _silenced(self, name: str, columns: Sequence[int]) -> Any:
        """A parameter with zeros for these columns' kernels or neurons: ReLU and tanh make zeros of zeros."""
        values = self._parameters[name].data(self._context).copy()
        share = len(values) // self.columns
        for column in columns:
            values[column * share : (column + 1) * share] = 0
        parameter = mx.gluon.Parameter(name, shape=values.shape, grad_req="null")
        parameter.initialize(ctx=self._context)
        parameter.set_data(values)
        return parameter


_PARTS = ("weight", "bias")


def _activation(layers: Sequence[chain.Layer], layer: chain.Layer) -> chain.Layer:
    """The layer's own activation, which may come after normalisation and pooling, or the layer itself."""
    for above in layers[layers.index(layer) + 1 :]:
        if isinstance(above.kind, chain.Activation):
            return above
        if isinstance(above.kind, (chain.Convolution, chain.FullyConnected)):
            break
    return layer


def _without_normalization(symbol: Any) -> Any:
    """The same graph with every normalisation dividing by 1."""
    graph = json.loads(symbol.tojson())
    nodes = graph["nodes"]
    for node in nodes:
        if node["op"] == "LRN":
            node["attrs"].update(alpha="0", knorm="1")
        elif node["op"] == "_mul_scalar":
            below = nodes[node["inputs"][0][0]]
            if below["op"] == "Pooling" and below["attrs"]["pool_type"] == "avg":  # the 2012 code's, within a map
                node["attrs"]["scalar"] = "0"
    return mx.sym.load_json(json.dumps(graph))
