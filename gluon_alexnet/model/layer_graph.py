"""A layer graph as a net in Gluon, on one device or on as many as its file names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..recipes import layer_graph as graphs
from .graph_layers import build_layer
from .graph_shapes import connections_name, outputs, parameter_shapes, shapes, weight_names


class Part(mx.gluon.HybridBlock):
    """Some layers of a graph. Inputs: outputs of the layers named in ``reads``; outputs: of those in ``gives``.

    fast: for training on a CPU; what is not, is not to be trained on one, where MXNet's LRN has a wrong gradient.
    """

    def __init__(
        self,
        graph: graphs.LayerGraph,
        layers: Sequence[graphs.Layer],
        reads: Sequence[str],
        gives: Sequence[str],
        fast: bool = False,
    ) -> None:
        super().__init__(prefix="")
        self.reads, self.gives = list(reads), list(gives)
        of_layers, parameters = shapes(graph), parameter_shapes(graph)
        self._layers = []
        for layer in layers:
            block = build_layer(layer, of_layers, parameters, _neuron(graph, layer), fast)
            self.register_child(block, layer.name)
            self._layers.append((layer.name, layer.inputs, block))

    def hybrid_forward(self, F: Any, *inputs: Any) -> Any:
        values = dict(zip(self.reads, inputs))
        for name, reads, block in self._layers:
            values[name] = block(*[values[each] for each in reads])
        found = [values[name] for name in self.gives]
        return found if len(found) > 1 else found[0]


class GraphNet(Part):
    """The whole graph on one device.

    Input: (N, 3, size, size), RGB grey levels with the mean subtracted. Output: (N, classes), before the softmax or the
    logistic function that its cost reads.
    """

    def __init__(self, graph: graphs.LayerGraph, fast: bool = False) -> None:
        super().__init__(graph, graph.layers, [graph.image], [graph.cost.layer], fast)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.Flatten(super().hybrid_forward(F, x))


class PlacedNet(mx.gluon.Block):
    """The graph with each layer on the device that its file gives it (``gpu=``); values are copied where they cross.

    Input: (N, 3, size, size) on any context. Output: (N, classes) on ``contexts[0]``. Raises ValueError unless there
    are as many contexts as the graph has devices.
    """

    def __init__(self, graph: graphs.LayerGraph, contexts: Sequence, fast: bool = False) -> None:
        super().__init__(prefix="")
        if len(contexts) != graph.devices:
            raise ValueError(f"{graph.devices} devices need {graph.devices} contexts, not {len(contexts)}")
        self.contexts, self._graph = list(contexts), graph
        self._order: list[tuple[int, str]] = []
        self.devices = [mx.gluon.Block(prefix="") for _ in contexts]  # what is on each context, for its parameters
        for device, layers, reads, gives in partition(graph):
            part = Part(graph, layers, reads, gives, fast)
            part.initialize(ctx=contexts[device])
            self._order.append((device, f"part{len(self._order)}"))
            self.devices[device].register_child(part, self._order[-1][1])
        for device, block in enumerate(self.devices):
            self.register_child(block, f"device{device}")

    def forward(self, x: Any) -> Any:
        values = {self._graph.image: x}
        for device, name in self._order:
            part = self.devices[device]._children[name]
            inputs = [values[name].as_in_context(self.contexts[device]) for name in part.reads]
            given = part(*inputs)
            values.update(zip(part.gives, given if len(part.gives) > 1 else [given]))
        return values[self._graph.cost.layer].as_in_context(self.contexts[0]).flatten()


def partition(graph: graphs.LayerGraph) -> list[tuple[int, list[graphs.Layer], list[str], list[str]]]:
    """The graph as parts (device, layers, names it reads, names it gives) in an order in which they can be computed.

    A part is all layers of a device that can be computed without waiting for another device once more.
    """
    level: dict[str, int] = {graph.image: 0}
    place: dict[str, tuple[int, int]] = {}
    for layer in graph.layers:
        waits = [level[name] + (name in place and place[name][1] != layer.device) for name in layer.inputs]
        level[layer.name] = max(waits)
        place[layer.name] = (level[layer.name], layer.device)
    parts = []
    for where in sorted(set(place.values())):
        layers = [layer for layer in graph.layers if place[layer.name] == where]
        reads = [name for layer in layers for name in layer.inputs if place.get(name) != where]
        gives = [
            layer.name
            for layer in layers
            if layer.name == graph.cost.layer
            or any(layer.name in other.inputs and place[other.name] != where for other in graph.layers)
        ]
        parts.append((where[1], layers, list(dict.fromkeys(reads)), gives))
    return parts


class GraphLoss(mx.gluon.HybridBlock):
    """The cost of each image. Inputs: a net's output (N, classes) and labels (N,). Output: (N,)."""

    def __init__(self, graph: graphs.LayerGraph) -> None:
        super().__init__(prefix="")
        self._cost, self._classes = graph.cost, outputs(graph)

    def hybrid_forward(self, F: Any, y: Any, labels: Any) -> Any:
        cost = self._cost
        if cost.kind == "cost.logreg":
            loss = -F.pick(F.log_softmax(y), labels)
        else:
            target = F.one_hot(labels, self._classes)
            if cost.kind == "cost.crossent2":  # log(1 + exp(y)) - t y, of y before the logistic function
                each = F.relu(y) - y * target + F.Activation(-F.abs(y), act_type="softrelu")
            elif cost.kind == "cost.rflickr":
                each = F.log(1 + F.square(y - target))
            else:
                each = F.square(cost.target * target + cost.output * y)
            loss = F.sum(each, axis=1)
        return loss * cost.coefficient


def scores(F: Any, graph: graphs.LayerGraph, y: Any) -> Any:
    """What the classes are ranked by, (N, classes), from a net's output: probabilities where its cost reads some."""
    if graph.cost.kind == "cost.logreg":
        return F.softmax(y)
    return F.sigmoid(y) if graph.cost.kind == "cost.crossent2" else y


def initial_parameters(graph: graphs.LayerGraph, seed: int) -> dict:
    """Parameters before training by name, on cpu(0): the same for a seed, whatever the placement."""
    mx.random.seed(seed)
    chosen = np.random.default_rng([seed, 1])
    found, of_all = {}, parameter_shapes(graph)
    for layer in graph.layers:
        if not isinstance(layer, graphs.WeightLayer):
            continue
        for place, (name, std) in enumerate(zip(weight_names(layer), layer.weight_stds)):
            found[name] = mx.nd.random.normal(0, std, of_all[name]) if std else mx.nd.zeros(of_all[name])
            connections = connections_name(name)
            if isinstance(layer, graphs.Filtering) and connections in of_all:
                filters = layer.filters[place]
                times = of_all[connections][0] // filters.channels
                channels = np.concatenate([chosen.permutation(filters.channels) for _ in range(times)])
                found[connections] = mx.nd.array(channels, dtype="float32")
        bias = f"{layer.name}_bias"
        found[bias] = mx.nd.full(of_all[bias], layer.bias)
    return found


def split(graph: graphs.LayerGraph, parameters: dict, parts: int) -> list[dict]:
    """Parameters by name → those of each device; all of them for one device."""
    found: list[dict] = [{} for _ in range(parts)]
    devices = {layer.name: layer.device for layer in graph.layers}
    for name, value in parameters.items():
        found[0 if parts == 1 else devices[name.rpartition("_")[0]]][name] = value
    return found


def first_weights(graph: graphs.LayerGraph) -> list[str]:
    """Names of the weights of convolutions that read the image, or its mirror image."""
    images = {graph.image, *(layer.name for layer in graph.layers if isinstance(layer, graphs.Reflection))}
    return [
        name
        for layer in graph.layers
        if isinstance(layer, graphs.Convolution)
        for name, read in zip(weight_names(layer), layer.inputs)
        if read in images
    ]


def output_layers(graph: graphs.LayerGraph) -> list[str]:
    """Names of the layers with weights whose outputs, put one after the other, are the net's."""
    last = graph.layer(graph.cost.layer)
    names = last.inputs if isinstance(last, graphs.Concatenation) else (last.name,)
    return [name for name in names if name != graph.image and isinstance(graph.layer(name), graphs.WeightLayer)]


def _neuron(graph: graphs.LayerGraph, layer: graphs.Layer) -> str:
    # The logistic function below its cost is computed with it, so that no logarithm is of 0.
    return "" if graph.cost.kind == "cost.crossent2" and layer.name == graph.cost.layer else layer.neuron
