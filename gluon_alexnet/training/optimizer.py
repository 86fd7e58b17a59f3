"""Gradient descent with momentum by MXNet's operators that are fast on a CPU, with the same bits (Sec. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..recipes.schema import Learning


class MomentumSGD(mx.optimizer.SGD):
    """MXNet's SGD, one operator a weight: on a CPU its aggregated one takes three times as long.

    momenta, decays: of each parameter, by its place. A parameter whose rate is 0 stays, and so does its momentum, as in
    the 2012 code.
    """

    def __init__(self, momenta: Sequence[float], decays: Sequence[float], **numbers: Any) -> None:
        super().__init__(momentum=max([0.0, *momenta]), **numbers)
        self.aggregate_num = 0
        self._momenta, self._decays = list(momenta), list(decays)

    def update_multi_precision(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        self._update_count(index)
        rate = self._get_lr(index)
        if rate == 0:
            return
        decay, scale = self._decays[index], self.rescale_grad
        if state is None:  # no momentum
            mx.nd.multi_sgd_update(weight, grad, num_weights=1, lrs=[rate], wds=[decay], rescale_grad=scale, out=weight)
            return
        momentum = self._momenta[index]
        mx.nd.sgd_mom_update(weight, grad, state, out=weight, lr=rate, wd=decay, momentum=momentum, rescale_grad=scale)


def optimizer(learning: Learning, names: Sequence[str]) -> MomentumSGD:
    """The optimizer to give to a Trainer of the parameters with these names (Sec. 5); biases do not decay."""
    each = {update.parameter: update for update in learning.updates}
    if each:
        momenta, decays = [each[name].momentum for name in names], [each[name].decay for name in names]
    else:
        momenta = [learning.momentum] * len(names)
        decays = [0.0 if name.endswith("_bias") else learning.weight_decay for name in names]
    return MomentumSGD(momenta, decays, learning_rate=learning.learning_rate)


def first_not_finite(gradients: Sequence) -> int | None:
    """Place of the first NDArray with a NaN or an infinity, None where there is none; all of them on one context."""
    # MXNet's multi_all_finite takes seconds on a CPU: its threads write one flag. The sum of squares is finite only
    # where all is; it may overflow where all is, too, so then each is asked.
    flat = [gradient.reshape(-1) for gradient in gradients]
    squares = mx.nd.concat(*[mx.nd.dot(gradient, gradient) for gradient in flat], dim=0)
    if np.isfinite(squares.asnumpy()).all():
        return None
    return next((place for place, gradient in enumerate(gradients) if not mx.nd.all_finite(gradient).asscalar()), None)
