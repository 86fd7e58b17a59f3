"""The learning rate (Sec. 5): a list of steps set by hand, or a drop whenever the error stalls. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..recipes import schema

CHANCE_MARGIN = 0.01  # a loss less than this share below chance is at chance


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of one epoch."""

    weights: float
    biases: float
    conv1_weights: float
    conv1_biases: float
    layers: schema.LayerRates = field(default_factory=schema.LayerRates)  # what each layer's rate is multiplied by
    each: Mapping[str, float] = field(default_factory=dict)  # of a graph's parameters by name, instead of those above

    def of(self, parameter: str) -> float:
        """Rate of a parameter by its name, such as conv1_bias."""
        if self.each:
            return self.each[parameter]
        kind = "biases" if parameter.endswith("_bias") else "weights"
        layer = parameter.rpartition("_")[0]
        return getattr(self, f"conv1_{kind}" if layer == "conv1" else kind) * getattr(self.layers, layer)


@dataclass(frozen=True)
class ManualRate:
    """A rate that was set while the run went on. It falls when the schedule's does, by the same factors."""

    rate: float
    scheduled: float  # what the schedule said at that moment
    by: str  # who set it


def rates(
    learning: schema.Learning,
    errors: Sequence[float],
    manual_rate: ManualRate | None = None,
    progress: float | None = None,
    chance: Callable[[], float] | None = None,
) -> LearningRates:
    """Rates of the next epoch, after the finished epochs whose validation errors these are.

    manual_rate replaces the rate of the weights, and that of biases which have none of their own. Of a graph's
    parameters it scales each. progress: share of the run that is done, where the epochs do not say it closely enough;
    chance: a draw from N(0, 1), for a graph's rates with noise.
    """
    if learning.updates:
        progress = len(errors) / learning.epochs if progress is None else progress
        return _graph_rates(learning, progress, _stepped(learning, len(errors)), manual_rate, chance)
    weights = rate(learning, errors)
    if manual_rate is not None:
        weights = manual_rate.rate * (weights / manual_rate.scheduled)
    biases = weights if learning.bias_rate is None else learning.bias_rate
    epoch, layers = len(errors), learning.layer_rates
    if learning.conv1_frozen_after is not None and epoch >= learning.conv1_frozen_after:
        return LearningRates(weights, biases, 0.0, 0.0, layers)
    slow = learning.conv1_slow_after is not None and epoch >= learning.conv1_slow_after
    return LearningRates(weights, biases, learning.conv1_slow_rate if slow else weights, biases, layers)


def to_dict(rates: LearningRates) -> dict:
    """The rates for a run's log: each parameter's, or those that differ."""
    names = ("weights", "biases", "conv1_weights", "conv1_biases")
    return dict(rates.each) if rates.each else {name: getattr(rates, name) for name in names}


def changes_within(learning: schema.Learning) -> bool:
    """Whether rates change from update to update, not from epoch to epoch alone."""
    return any(update.schedule.kind != "default" or update.schedule.noise for update in learning.updates)


def _graph_rates(
    learning: schema.Learning,
    progress: float,
    steps: float,
    manual_rate: ManualRate | None,
    chance: Callable[[], float] | None,
) -> LearningRates:
    each = {update.parameter: update.schedule.rate(update.rate, progress) for update in learning.updates}
    if steps < 1:  # set by hand, they lower the weights' rates, and leave the biases' as in the 2012 code
        each = {name: rate if name.endswith("_bias") else rate * steps for name, rate in each.items()}
    if manual_rate is not None and manual_rate.scheduled > 0:
        each = {name: rate * manual_rate.rate / manual_rate.scheduled for name, rate in each.items()}
    for update in learning.updates:
        if update.schedule.noise and chance is not None:
            each[update.parameter] *= 1 + update.schedule.noise * abs(chance())
    biases = {name for name in each if name.endswith("_bias")}
    weights, biased = (max(rate for name, rate in each.items() if (name in biases) == kind) for kind in (False, True))
    return LearningRates(weights, biased, weights, biased, each=each)


def _stepped(learning: schema.Learning, epoch: int) -> float:
    return stepped_rate(learning, epoch) / learning.learning_rate if learning.rate_steps else 1.0


def rate(learning: schema.Learning, errors: Sequence[float]) -> float:
    """Rate of all layers' weights in the next epoch; of a graph, the largest."""
    if learning.updates:
        return rates(learning, errors).weights
    if learning.rate_steps:
        return stepped_rate(learning, len(errors))
    return learning.learning_rate / learning.rate_divisor ** min(plateaus(learning, errors), learning.rate_drops)


def finished(learning: schema.Learning, errors: Sequence[float]) -> bool:
    """Whether training ends here: all epochs are done, or the error stalls after the last drop."""
    if len(errors) >= learning.epochs:
        return True
    if learning.rate_steps or learning.updates:
        return False
    return plateaus(learning, errors) > learning.rate_drops


def stepped_rate(learning: schema.Learning, epoch: int) -> float:
    """Rate of an epoch, counted from 0, that drops once step epochs are done, for each step."""
    from ..backend import gluoncv

    scheduler = gluoncv.utils.LRScheduler(
        "step",
        base_lr=learning.learning_rate,
        nepochs=learning.epochs,
        iters_per_epoch=1,
        step_epoch=list(learning.rate_steps),
        step_factor=1 / learning.rate_divisor,
    )
    return scheduler(epoch)


def plateaus(learning: schema.Learning, errors: Sequence[float]) -> int:
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


def stalled(learning: schema.Learning, step: int, loss: float, classes: int) -> bool:
    """Whether a start is to be called stalled after this many updates: the mean loss is still that of guessing.

    Looked at after ``stalled_after`` updates, twice, four times as many, and so on.
    """
    times, rest = divmod(step, learning.stalled_after)
    return rest == 0 and times & (times - 1) == 0 and times > 0 and loss > (1 - CHANCE_MARGIN) * math.log(classes)
