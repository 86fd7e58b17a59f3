"""Sizes of a network's layers, worked out from its numbers (Sec. 3.5)."""

from __future__ import annotations

import math

from ..recipes.layer_graph import LayerGraph
from ..recipes.schema import Net, Network
from . import graph_shapes


def convolution_outputs(network: Network) -> int:
    """Outputs of the convolutional layers, all columns, that layer 6 reads: 256·6·6 = 9216 in the paper's net."""
    size = network.input_size
    for name, layer in network.convolutions():
        if name == "conv6":
            size = _pooled(size, network)
        size = (size + sum(layer.padding) - layer.size) // layer.stride + 1
        if name in ("conv1", "conv2"):
            size = _pooled(size, network)
    if network.conv6 is None:
        size = _pooled(size, network)
    return network.convolutions()[-1][1].kernels * size * size


def parameter_shapes(network: Net, classes: int) -> dict[str, tuple[int, ...]]:
    """Shape of each array of the fused net by name: conv1_weight is (96, 3, 11, 11) in the paper's net."""
    if isinstance(network, LayerGraph):
        return graph_shapes.parameter_shapes(network)
    shapes: dict[str, tuple[int, ...]] = {}
    maps_below = 3
    for name, layer in network.convolutions():
        seen = maps_below if layer.both_columns else maps_below // network.columns
        shapes[f"{name}_weight"] = (layer.kernels, seen, layer.size, layer.size)
        shapes[f"{name}_bias"] = (layer.kernels,)
        maps_below = layer.kernels
    inputs = convolution_outputs(network)
    for name, hidden in network.hidden():
        seen = inputs if hidden.both_columns else inputs // network.columns
        shapes[f"{name}_weight"], shapes[f"{name}_bias"] = (hidden.neurons, seen), (hidden.neurons,)
        inputs = hidden.neurons
    shapes["fc8_weight"], shapes["fc8_bias"] = (classes, inputs), (classes,)
    return shapes


def parameter_count(network: Net, classes: int) -> dict[str, int]:
    """Number of parameters of each layer, by name."""
    if isinstance(network, LayerGraph):
        return graph_shapes.parameter_count(network)
    counts: dict[str, int] = {}
    for name, shape in parameter_shapes(network, classes).items():
        layer = name.rpartition("_")[0]
        counts[layer] = counts.get(layer, 0) + math.prod(shape)
    return counts


def _pooled(size: int, network: Network) -> int:
    over = size - network.pooling.size
    return (-(-over // network.pooling.stride) if network.pooling.round_up else over // network.pooling.stride) + 1
