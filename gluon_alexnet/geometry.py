"""Sizes of a network's layers, worked out from its numbers (Sec. 3.5)."""

from __future__ import annotations

from .recipe import Network


def convolution_outputs(network: Network) -> int:
    """Outputs of the convolutional layers, all columns, that layer 6 reads: 256·6·6 = 9216 in the paper's net."""
    size = network.input_size
    for name, layer in network.convolutions():
        if name == "conv6":
            size = _pooled(size, network)
        size = (size + sum(layer.border) - layer.size) // layer.stride + 1
        if name in ("conv1", "conv2"):
            size = _pooled(size, network)
    if network.conv6 is None:
        size = _pooled(size, network)
    return network.convolutions()[-1][1].kernels * size * size


def parameter_count(network: Network, classes: int) -> dict[str, int]:
    """Number of parameters of each layer, by name."""
    counts, maps_below = {}, 3
    for name, layer in network.convolutions():
        seen = maps_below if layer.both_columns else maps_below // network.columns
        counts[name] = layer.kernels * (seen * layer.size**2 + 1)
        maps_below = layer.kernels
    inputs = convolution_outputs(network)
    for name, outputs in (("fc6", network.fc6.neurons), ("fc7", network.fc7.neurons), ("fc8", classes)):
        counts[name] = outputs * (inputs + 1)
        inputs = outputs
    return counts


def _pooled(size, network):
    return (size - network.pooling.size) // network.pooling.stride + 1
