"""A trained net without one of its parts: without normalisation, or without a column."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..backend import mx
from ..recipes import schema


def without_normalization(network: schema.Network) -> schema.Network:
    """The same layers without response normalisation (Sec. 3.3) and without the 2012 code's second one."""
    return replace(network, normalization=None, map_normalization=None)


def without_column(network: schema.Network, parameters: dict, column: int) -> tuple[schema.Network, dict]:
    """What is left of a net where every activation of one column, counted from 0, is zero.

    Nothing of that column then reaches any other neuron, so what is left is a smaller net: the other columns' kernels
    and neurons, each without its inputs from that column. Takes and returns (network, parameters of
    :class:`gluon_alexnet.model.alexnet.AlexNet` by name); what is no parameter of a layer is passed on. Raises
    ValueError where that column is the only one, or there is no such column.
    """
    columns = network.columns
    if not 0 <= column < columns or columns == 1:
        raise ValueError(f"column {column} cannot be left out of {columns}")
    kept = [other for other in range(columns) if other != column]
    changes: dict[str, Any] = {"columns": len(kept)}
    left = dict(parameters)
    reads_all = {"fc6", "fc7", "fc8"}
    for name, layer in network.convolutions():
        changes[name] = replace(layer, kernels=layer.kernels * len(kept) // columns)
        if layer.both_columns and name != "conv1":  # conv1 reads the image, of which nothing is missing
            reads_all.add(name)
    for name in ("fc6", "fc7"):
        layer = getattr(network, name)
        changes[name] = replace(layer, neurons=layer.neurons * len(kept) // columns)
    for name in [name for name, _ in network.convolutions()] + ["fc6", "fc7", "fc8"]:
        weight, bias = parameters[f"{name}_weight"], parameters[f"{name}_bias"]
        if name != "fc8":  # its outputs are the classes, which belong to no column
            weight, bias = _shares(weight, kept, columns, 0), _shares(bias, kept, columns, 0)
        left[f"{name}_weight"] = _shares(weight, kept, columns, 1) if name in reads_all else weight
        left[f"{name}_bias"] = bias
    return replace(network, **changes), left


def _shares(array, kept, columns, axis):
    """The shares of the columns that are kept, along an axis on which a column's entries lie together."""
    size = array.shape[axis] // columns
    parts = [array.slice_axis(axis=axis, begin=k * size, end=(k + 1) * size) for k in kept]
    return parts[0] if len(parts) == 1 else mx.nd.concat(*parts, dim=axis)
