"""Gradient descent with momentum by MXNet's operators that are fast on a CPU, with the same bits (Sec. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backend import mx


class MomentumDescent(mx.optimizer.SGD):
    """MXNet's SGD, one operator a weight: on a CPU its aggregated one takes three times as long."""

    def __init__(self, **numbers):
        super().__init__(**numbers)
        self.aggregate_num = 0

    def update_multi_precision(self, index, weight, grad, state):
        if state is None:  # no momentum
            super().update_multi_precision(index, weight, grad, state)
            return
        self._update_count(index)
        numbers = {"momentum": self.momentum, "rescale_grad": self.rescale_grad}
        rate, decay = self._get_lr(index), self._get_wd(index)
        mx.nd.sgd_mom_update(weight, grad, state, out=weight, lr=rate, wd=decay, **numbers)


def optimizer(context, **numbers):
    """The optimizer to give to a Trainer on this context; numbers: of MXNet's SGD."""
    return MomentumDescent(**numbers) if context.device_type == "cpu" else mx.optimizer.SGD(**numbers)


def first_not_finite(gradients: Sequence) -> int | None:
    """Place of the first NDArray with a NaN or an infinity, None where there is none; all of them on one context."""
    # MXNet's multi_all_finite takes seconds on a CPU: its threads write one flag. The sum of squares is finite only
    # where all is; it may overflow where all is, too, so then each is asked.
    flat = [gradient.reshape(-1) for gradient in gradients]
    squares = mx.nd.concat(*[mx.nd.dot(gradient, gradient) for gradient in flat], dim=0)
    if np.isfinite(squares.asnumpy()).all():
        return None
    return next((place for place, gradient in enumerate(gradients) if not mx.nd.all_finite(gradient).asscalar()), None)
