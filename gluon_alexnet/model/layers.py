"""The two layers that MXNet has in another form than the paper: response normalisation and dropout."""

from __future__ import annotations

from typing import Any

from ..backend import mx
from ..recipes import schema
from . import lrn_cpu
from .graph_operators import copied


class ResponseNormalization(mx.gluon.HybridBlock):
    """Local response normalisation across neighbouring maps of one column (Sec. 3.3).

    Input and output: (N, maps, height, width). The sum runs over the maps of a column, never across two.
    fast: for training on a CPU, by :func:`trained_on_cpu`. What is not is MXNet's own operator, which exported graphs
    and GPUs have: on a CPU its gradient is slow, and wrong between a pooling and a convolution.
    pooled_next: a pooling reads the output, as in the paper's order.
    """

    def __init__(
        self,
        numbers: schema.ResponseNormalization,
        columns: int,
        maps: int,
        fast: bool = False,
        pooled_next: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._numbers, self._fast, self._pooled_next = numbers, fast, pooled_next
        self._columns, self._maps = columns, maps

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        if self._fast:
            return trained_on_cpu(F, x, self._numbers, self._columns, self._maps, self._pooled_next)
        # A column becomes an image of its own, so that no window reaches into the other column. One column is
        # reshaped, too: without it, MXNet 1.9.1 hybridized on a CPU gives a wrong gradient before a max-pooling.
        x = F.reshape(x, shape=(-1, self._maps // self._columns, 0, 0))
        numbers = self._numbers
        alpha = alpha_over_n(numbers) * numbers.n  # which MXNet's operator divides by n
        x = F.LRN(x, alpha=alpha, beta=numbers.beta, knorm=numbers.k, nsize=numbers.n)
        return F.reshape(x, shape=(-1, self._maps, 0, 0))


def alpha_over_n(numbers: schema.ResponseNormalization) -> float:
    """What the sum of squares is multiplied by."""
    return numbers.alpha / numbers.n if numbers.alpha_divided_by_n else numbers.alpha


def trained_on_cpu(
    F: Any,
    x: Any,
    numbers: schema.ResponseNormalization,
    columns: int,
    maps: int,
    pooled_next: bool = False,
    **named: str,
) -> Any:
    """Response normalisation whose gradient is right on a CPU, whatever stands beside it: (N, maps, height, width).

    By :mod:`gluon_alexnet.model.lrn_cpu` where its numbers are written there, or else in elementary operators. named:
    ``name`` of the last operator.
    """
    own, split, joined = maps // columns, (-1, maps // columns, 0, 0), (-1, maps, 0, 0)
    if lrn_cpu.obstacle(numbers) is None:
        # Of oneDNN's layouts, a custom operator gets a copy that is freed too early. A copy in MXNet's own layout lives
        # as long as it is read, and so does a reshaped array; a gradient comes from a convolution in oneDNN's layout,
        # reshaped or not, from a pooling in that of the pooling's input. In the paper's order two copies would take
        # half the time of the two layers again.
        x = F.reshape(x if pooled_next else copied(F, x), shape=split)
        x = F.Custom(x, op_type=lrn_cpu.NAME, k=numbers.k, alpha=alpha_over_n(numbers))
        if pooled_next:
            return F.reshape(x, shape=joined, **named)
        return copied(F, F.reshape(x, shape=joined), **named)
    x = F.reshape(x, shape=split)
    squares = F.reshape(F.square(x), shape=(0, 1, own, -1))  # maps become rows: a window over rows is one over maps
    window = {"kernel": (numbers.n, 1), "pad": (numbers.n // 2, 0), "stride": (1, 1), "pool_type": "avg"}
    means = F.Pooling(squares, count_include_pad=True, **window)
    divisor = (numbers.k + alpha_over_n(numbers) * numbers.n * means) ** numbers.beta
    return F.reshape(F.elemwise_div(x, F.reshape_like(divisor, x)), shape=joined, **named)


class MapNormalization(mx.gluon.HybridBlock):
    """Normalisation over a square of neighbours in the same map, zeros beyond the border: the 2012 code's second one.

    Input and output: (N, maps, height, width).
    """

    def __init__(self, numbers: schema.MapNormalization, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._numbers = numbers

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        size, pad = self._numbers.size, self._numbers.size // 2
        mean_square = F.Pooling(
            F.square(x), kernel=(size, size), pad=(pad, pad), stride=(1, 1), pool_type="avg", count_include_pad=True
        )
        return x / (1 + self._numbers.alpha * mean_square) ** self._numbers.beta


class Dropout(mx.gluon.HybridBlock):
    """Dropout as published (Sec. 4.2): a 0/1 mask in training, outputs times (1 - p) in test.

    inverted: as later nets have it, mask / (1 - p) in training and nothing in test.
    """

    def __init__(self, probability: float, inverted: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._probability = probability
        self._inverted = inverted

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        if self._probability == 0:
            return x
        # MXNet's operator is inverted: mask / (1 - p) in training, identity in test.
        x = F.Dropout(x, p=self._probability)
        return x if self._inverted else x * (1 - self._probability)
