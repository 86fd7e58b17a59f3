"""The same network with each column on a context of its own (Sec. 3.2).

The columns meet at layers 3, 6, 7 and 8, where each context copies what the others computed; nothing
else crosses, unless normalisation reads both columns, as printed: then they meet before it, too.
Parameters split and join exactly, so a net has one form on disk: that of the fused
:class:`gluon_alexnet.model.alexnet.AlexNet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import mx
from ..recipes import schema
from .alexnet import Hidden, LowerLayers, SixthLayer, UpperLayers, output_layer
from .shapes import convolution_outputs


class Column(mx.gluon.Block):
    """The share of one context: its segments, each hybridized for itself."""

    def __init__(self, network: schema.Network, classes: int, place: int, fast: bool, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self.sixth: Any
        self.fc8: Any
        joined = network.normalization is not None and network.normalization.both_columns
        with self.name_scope():
            self.lower = LowerLayers(network, 1, fast, (place, network.columns) if joined else None)
            self.upper = UpperLayers(network, columns=1, fast=fast)
            self.sixth = SixthLayer(network, columns=1) if network.conv6 else None
            self.fc6 = Hidden("fc6", network, convolution_outputs(network), columns=1)
            self.fc7 = Hidden("fc7", network, network.fc6.neurons, columns=1)
            narrow = network.bottleneck is not None
            self.bottleneck = Hidden("bottleneck", network, network.fc7.neurons, columns=1) if narrow else None
            # The softmax needs every class in one place, and any number of classes must do.
            self.fc8 = output_layer(network, classes) if place == 0 else None
        self.steps = self.lower.steps() if joined else []
        for number, step in enumerate(self.steps):
            self.register_child(step, f"step{number}")


class ColumnParallel(mx.gluon.Block):
    """AlexNet with column c on ``contexts[c]``; layer 8 is on ``contexts[0]``.

    Input: (N, 3, 224, 224) on any context. Output: (N, classes) on ``contexts[0]``. fast: as in AlexNet.
    Raises ValueError unless there are as many contexts as columns.
    """

    def __init__(
        self, network: schema.Network, classes: int, contexts: Sequence, fast: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(prefix="", **kwargs)
        if len(contexts) != network.columns:
            raise ValueError(f"{network.columns} columns need {network.columns} contexts, not {len(contexts)}")
        self.contexts = list(contexts)
        self.columns = [Column(network, classes, index, fast) for index in range(network.columns)]
        for index, (column, context) in enumerate(zip(self.columns, self.contexts)):
            self.register_child(column, f"column{index}")
            column.initialize(ctx=context)
        above = [layer for name, layer in network.convolutions() if name in ("conv3", "conv4", "conv5")]
        self._upper_reads_both = bool(above) and above[0].both_columns
        self._sixth, self._hidden = network.conv6 is not None, network.hidden()

    def forward(self, x: Any) -> Any:
        maps = self._lower([x.as_in_context(context) for context in self.contexts])
        if self._upper_reads_both:
            maps = self._exchange(maps)
        maps = [column.upper(own) for column, own in zip(self.columns, maps)]
        if self._sixth:
            maps = [column.sixth(joined) for column, joined in zip(self.columns, self._exchange(maps))]
        activations = maps
        for name, layer in self._hidden:
            if layer.both_columns:
                activations = self._exchange(activations)
            activations = [getattr(column, name)(read) for column, read in zip(self.columns, activations)]
        return self.columns[0].fc8(self._gather(activations, self.contexts[0]))

    def _lower(self, images: list[Any]) -> list[Any]:
        if not self.columns[0].steps:
            return [column.lower(image) for column, image in zip(self.columns, images)]
        maps = images
        for number in range(len(self.columns[0].steps)):
            if number % 2:  # normalisation reads every column
                maps = self._exchange(maps)
            maps = [column.steps[number](read) for column, read in zip(self.columns, maps)]
        return maps

    def _exchange(self, parts: Sequence[Any]) -> list[Any]:
        return [self._gather(parts, context) for context in self.contexts]

    def _gather(self, parts: Sequence[Any], context: Any) -> Any:
        return mx.nd.concat(*[part.as_in_context(context) for part in parts], dim=1)


def split(parameters: dict, columns: int) -> list[dict]:
    """Parameters of the fused net → those of each column, by the same names.

    Kernels and neurons are the first axis of every array, and a column's lie together. fc8 is the
    first column's alone.
    """
    parts: list[dict] = [{} for _ in range(columns)]
    for name, value in parameters.items():
        if name.startswith("fc8_"):
            parts[0][name] = value
            continue
        share = value.shape[0] // columns
        for index, part in enumerate(parts):
            part[name] = value[index * share : (index + 1) * share]
    return parts


def join(parts: Sequence[dict]) -> dict:
    """The inverse of :func:`split`; arrays come to cpu(0)."""
    joined = {}
    for name in parts[0]:
        values = [part[name].as_in_context(mx.cpu()) for part in parts if name in part]
        joined[name] = mx.nd.concat(*values, dim=0) if len(values) > 1 else values[0].copy()
    return joined
