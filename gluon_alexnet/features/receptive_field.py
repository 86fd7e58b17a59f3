"""Which pixels a neuron sees, from the layers below it (Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..model import layer_chain as chain


class ReceptiveField(NamedTuple):
    """Squares of pixels of the view: neuron (row, column) sees ``size`` pixels a side from ``start + stride · row`` on.

    They may reach beyond the view, where there are zeros.
    """

    size: int
    stride: int
    top: int
    left: int

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) in pixels, bottom and right exclusive."""
        top, left = self.top + self.stride * row, self.left + self.stride * column
        return top, left, top + self.size, left + self.size


def of_layer(layers: Sequence[chain.Layer], name: str) -> ReceptiveField | None:
    """The receptive field of a layer's neurons; None where they see the whole view, from fc6 on.

    layers: from :func:`gluon_alexnet.model.layer_chain.read`. Raises KeyError for a name that is not there.
    """
    size = stride = 1
    top = left = 0
    whole = False
    for layer in layers:
        kind = layer.kind
        if isinstance(kind, (chain.Flatten, chain.FullyConnected)):
            whole = True
        elif isinstance(kind, chain.Pad):
            top, left = top - kind.top * stride, left - kind.left * stride
        elif isinstance(kind, (chain.Convolution, chain.Pooling)):
            around = kind.padding * stride if isinstance(kind, chain.Convolution) else 0
            top, left = top - around, left - around
            size += (kind.size - 1) * stride
            stride *= kind.stride
        elif isinstance(kind, chain.MapNorm):
            around = (kind.size // 2) * stride
            top, left, size = top - around, left - around, size + (kind.size - 1) * stride
        if layer.name == name:
            return None if whole else ReceptiveField(size, stride, top, left)
    raise KeyError(name)
