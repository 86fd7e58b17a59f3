"""The learning rate (Sec. 5): a list of steps set by hand, or a drop whenever the error stalls. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import recipe


@dataclass(frozen=True)
class Rates:
    """Learning rates of one epoch."""

    weights: float
    biases: float
    conv1_weights: float
    conv1_biases: float

    def of(self, parameter: str) -> float:
        """Rate of a parameter by its name, such as conv1_bias."""
        kind = "biases" if parameter.endswith("_bias") else "weights"
        return getattr(self, f"conv1_{kind}" if parameter.startswith("conv1_") else kind)


def rates(learning: recipe.Learning, errors: Sequence[float]) -> Rates:
    """Rates of the next epoch, after the finished epochs whose validation errors these are."""
    weights = rate(learning, errors)
    biases = weights if learning.bias_rate is None else learning.bias_rate
    epoch = len(errors)
    if learning.conv1_frozen_after is not None and epoch >= learning.conv1_frozen_after:
        return Rates(weights, biases, 0.0, 0.0)
    slow = learning.conv1_slow_after is not None and epoch >= learning.conv1_slow_after
    return Rates(weights, biases, learning.conv1_slow_rate if slow else weights, biases)


def rate(learning: recipe.Learning, errors: Sequence[float]) -> float:
    """Rate of all layers' weights in the next epoch."""
    if learning.rate_steps:
        return stepped_rate(learning, len(errors))
    return learning.rate / learning.rate_divisor ** min(plateaus(learning, errors), learning.rate_drops)


def finished(learning: recipe.Learning, errors: Sequence[float]) -> bool:
    """Whether training ends here: all epochs are done, or the error stalls after the last drop."""
    if len(errors) >= learning.epochs:
        return True
    return not learning.rate_steps and plateaus(learning, errors) > learning.rate_drops


def stepped_rate(learning: recipe.Learning, epoch: int) -> float:
    """Rate of an epoch, counted from 0, that drops once step epochs are done, for each step."""
    from .backend import gluoncv

    scheduler = gluoncv.utils.LRScheduler(
        "step",
        base_lr=learning.rate,
        nepochs=learning.epochs,
        iters_per_epoch=1,
        step_epoch=list(learning.rate_steps),
        step_factor=1 / learning.rate_divisor,
    )
    return scheduler(epoch)


def plateaus(learning: recipe.Learning, errors: Sequence[float]) -> int:
    """How often the validation error has gone ``patience`` epochs without a new minimum."""
    best, waited, count = float("inf"), 0, 0
    for error in errors:
        if error < best:
            best, waited = error, 0
            continue
        waited += 1
        if waited == learning.patience:
            count, waited = count + 1, 0
    return count
