"""The inside of a net on one device, and the net without one of its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..model.ablation import without_column, without_normalization
from ..model.classifier import build_classifier, classify_with
from ..recipes import schema
from .interfaces import WITHOUT_NORMALIZATION, column_switch


class NetMicroscope:
    """See :class:`gluon_alexnet.serving.interfaces.Microscope`; every method is for the computing thread.

    parameters: those of :class:`gluon_alexnet.model.alexnet.AlexNet` and ``mean``, by name. The nets without a part
    are built when they are first asked for: at full width one without a column takes another 65 MB.
    """

    def __init__(self, network: schema.Network, parameters: dict, context) -> None:
        self.columns = network.columns
        normalized = network.normalization is not None or network.map_normalization is not None
        columns = [column_switch(column + 1) for column in range(network.columns)] if network.columns > 1 else []
        self.switches = ([WITHOUT_NORMALIZATION] if normalized else []) + columns
        self.reads_all = frozenset(name for name, layer in network.convolutions() if layer.both_columns) | {
            "fc6",
            "fc7",
        }
        self._context = context
        self._kernels = parameters["conv1_weight"]
        self._nets: dict[frozenset[str], _Net] = {}
        self._whole = network, parameters

    def kernels(self) -> np.ndarray:
        """Weights of layer 1, float32 (kernels, 3, height, width)."""
        return self._kernels.asnumpy()

    def classify(self, views: np.ndarray, without: frozenset[str]) -> np.ndarray:
        """uint8 (M, size, size, 3) → float32 (M, classes) of the net without these parts."""
        return self._net(without).classify(views)

    def activations(self, view: np.ndarray, without: frozenset[str]) -> dict[str, np.ndarray]:
        """Layer's name → float32 (maps, height, width) after its neuron; a column that is left out is zero."""
        found = self._net(without).activations(view)
        absent = [column for column in range(self.columns) if column_switch(column + 1) in without]
        for column in absent:
            for name, maps in found.items():
                share = len(maps) // (self.columns - len(absent))
                found[name] = np.insert(maps, [column * share] * share, 0, axis=0)
        return found

    def _net(self, without):
        if without not in self._nets:
            network, parameters = self._whole
            for column in reversed(range(self.columns)):  # from the last: the places of the others stay
                if column_switch(column + 1) in without:
                    network, parameters = without_column(network, parameters, column)
            if WITHOUT_NORMALIZATION in without:
                network = without_normalization(network)
            self._nets[without] = _Net(network, parameters, self._context)
        return self._nets[without]


class _Net:
    def __init__(self, network, parameters, context):
        self._block = build_classifier(network, parameters, context)
        self._network, self._context = network, context
        self.classify: Callable[[np.ndarray], np.ndarray] = classify_with(self._block, context)

    def activations(self, view):
        names, block = self._inside
        outputs = block(mx.nd.array(network_order(view[None]), ctx=self._context))
        maps = [output.asnumpy()[0] for output in outputs]
        return {name: one.reshape(len(one), *(one.shape[1:] or (1, 1))) for name, one in zip(names, maps)}

    @cached_property
    def _inside(self):
        """(layers' names, block with their activations as outputs), with the arrays of the classifier."""
        data = mx.sym.var("data", dtype=np.float32)
        internals = self._block(data).get_internals()
        places: dict[str, str] = {}
        layer = ""
        for output in internals.list_outputs():  # in the order of the graph
            if output.endswith("_fwd_output") and output.startswith(("conv", "fc")):
                layer = output[: -len("_fwd_output")]
            elif output.startswith("activation") and layer not in places:
                places[layer] = output
        group = mx.sym.Group([internals[output] for output in places.values()])
        block = mx.gluon.SymbolBlock(group, data, params=self._block.collect_params())
        block.hybridize()
        return list(places), block
