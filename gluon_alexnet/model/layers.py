"""The two layers that MXNet has in another form than the paper: response normalisation and dropout."""

from __future__ import annotations

from typing import Any

from ..backend import mx
from ..recipes import schema
from . import lrn_cpu


class ResponseNormalization(mx.gluon.HybridBlock):
    """Local response normalisation across neighbouring maps of one column (Sec. 3.3).

    Input and output: (N, maps, height, width). The sum runs over the maps of a column, never across two.
    fast: compute with :mod:`gluon_alexnet.model.lrn_cpu`, for training on a CPU.
    """

    def __init__(
        self, numbers: schema.ResponseNormalization, columns: int, maps: int, fast: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._fast = fast
        self._columns = columns
        self._maps = maps
        # MXNet's operator divides alpha by the window; the printed formula does not.
        alpha = numbers.alpha if numbers.alpha_divided_by_n else numbers.alpha * numbers.n
        self._operator = {"alpha": alpha, "beta": numbers.beta, "knorm": numbers.k, "nsize": numbers.n}

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        # A column becomes an image of its own, so that no window reaches into the other column. One column is
        # reshaped too: without it, MXNet 1.9.1 hybridized on a CPU gives a wrong gradient before a max-pooling, and
        # hands the fast operator a copy that it frees too early.
        x = F.reshape(x, shape=(-1, self._maps // self._columns, 0, 0))
        if self._fast:
            operator = self._operator
            alpha = operator["alpha"] / operator["nsize"]
            x = F.Custom(x, op_type=lrn_cpu.NAME, k=operator["knorm"], alpha=alpha)
        else:
            x = F.LRN(x, **self._operator)
        return F.reshape(x, shape=(-1, self._maps, 0, 0))


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
