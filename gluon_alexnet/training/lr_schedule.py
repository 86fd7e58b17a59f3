"""The learning rate (Sec. 5): a timetable set by hand, or a drop whenever the error stalls. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..recipes import schema, timetable
from ..recipes.timetable import Change

# The full net still made 70 % of errors on ten classes after 148 (benchmarks/results/imagenette-paper-2026-11-24).
FEW_UPDATES = 150
CHANCE_MARGIN = 0.01  # a loss less than this share below chance is at chance


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of one moment."""

    weights: float  # of most layers
    biases: float
    layers: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # (weights, biases) of those that differ
    each: Mapping[str, float] = field(default_factory=dict)  # of a graph's parameters by name, instead of those above

    def of(self, parameter: str) -> float:
        """Rate of a parameter by its name, such as conv1_bias."""
        if self.each:
            return self.each[parameter]
        rates = self.layers.get(parameter.rpartition("_")[0], (self.weights, self.biases))
        return rates[parameter.endswith("_bias")]


@dataclass(frozen=True)
class ManualRate:
    """A rate that was set while the run went on. It falls when the schedule's does, by the same factors."""

    rate: float
    scheduled: float  # what the schedule said at that moment
    by: str  # who set it


@dataclass(frozen=True)
class Moment:
    """Where a run stands, as far as its rates depend on it."""

    errors: Sequence[float]  # validation error of each finished epoch
    images: int = 0  # of the next epoch that have been gone through
    manual_rate: ManualRate | None = None
    changes: Sequence[Change] = ()  # made by hand while the run went on
    progress: float | None = None  # share of the run that is done, where the epochs do not say it closely enough
    chance: Callable[[], float] | None = None  # a draw from N(0, 1), for a graph's rates with noise


def rates(learning: schema.Learning, moment: Moment) -> LearningRates:
    """Rates of the next update.

    A manual rate replaces the one that most layers' weights have, and all rates of weights, and of biases that have
    none of their own, grow or fall with it.
    """
    return _graph_rates(learning, moment) if learning.updates else _layer_rates(learning, moment)


def _layer_rates(learning: schema.Learning, moment: Moment) -> LearningRates:
    epoch, factor = len(moment.errors), 1.0
    if learning.drops_on_plateau:
        factor /= learning.rate_divisor ** min(plateaus(learning, moment.errors), learning.rate_drops)
    changes = _in_order(learning, moment)
    found = timetable.rates_at(learning.learning_rate, changes, timetable.LAYERS, epoch, moment.images)
    weights = {layer: own * factor for layer, (own, _) in found.items()}
    most = _most_common(weights.values())
    if moment.manual_rate is not None and moment.manual_rate.scheduled > 0:
        turned, scheduled = moment.manual_rate.rate, moment.manual_rate.scheduled
        weights = {layer: turned * (own / scheduled) for layer, own in weights.items()}
        most = turned * (most / scheduled)
    biases = {layer: weights[layer] if own is None else own for layer, (_, own) in found.items()}
    general = most, _most_common([biases[layer] for layer in biases if weights[layer] == most])
    layers = {layer: (weights[layer], biases[layer]) for layer in weights}
    return LearningRates(*general, {layer: own for layer, own in layers.items() if own != general})


def _graph_rates(learning: schema.Learning, moment: Moment) -> LearningRates:
    progress = len(moment.errors) / learning.epochs if moment.progress is None else moment.progress
    changes, now = _in_order(learning, moment), (len(moment.errors), moment.images)
    layers = dict.fromkeys(update.parameter.rpartition("_")[0] for update in learning.updates)
    each = {}
    for update in learning.updates:
        layer, _, kind = update.parameter.rpartition("_")
        first, (weights, biases) = update.rate, timetable.rates_at(-1.0, changes, layers, *now)[layer]
        if kind == "bias":
            first = first if biases is None else biases
        elif weights >= 0:
            first = weights
        each[update.parameter] = update.schedule.rate(first, progress)
        if moment.manual_rate is not None and moment.manual_rate.scheduled > 0:
            each[update.parameter] *= moment.manual_rate.rate / moment.manual_rate.scheduled
        if update.schedule.noise and moment.chance is not None:
            each[update.parameter] *= 1 + update.schedule.noise * abs(moment.chance())
    kinds = [[rate for name, rate in each.items() if name.endswith("_bias") == bias] for bias in (False, True)]
    weights, biases = (max(rates) for rates in kinds)
    return LearningRates(weights, biases, each=each)


def _in_order(learning: schema.Learning, moment: Moment) -> Sequence[Change]:
    """The timetable with what was turned by hand, each at its time."""
    changes = [*learning.timetable, *moment.changes]
    return sorted(changes, key=lambda change: (change.epoch, change.images)) if moment.changes else changes


def _most_common(of: Iterable[float]) -> float:
    numbers = list(of)
    return max(numbers, key=lambda number: (numbers.count(number), number))


def rate(learning: schema.Learning, moment: Moment) -> float:
    """What the schedule says of the rate of most layers' weights, whatever was set by hand; of a graph, the largest."""
    return rates(learning, Moment(moment.errors, moment.images, None, moment.changes, moment.progress)).weights


def to_dict(rates: LearningRates) -> dict:
    """The rates for a run's log: each parameter's, or those of most layers and of those that differ."""
    if rates.each:
        return dict(rates.each)
    layers = {layer: {"weights": weights, "biases": biases} for layer, (weights, biases) in rates.layers.items()}
    return {"weights": rates.weights, "biases": rates.biases, **layers}


def changes_within(learning: schema.Learning, changes: Sequence[Change] = ()) -> bool:
    """Whether rates change within an epoch, not from epoch to epoch alone."""
    by_update = any(update.schedule.kind != "default" or update.schedule.noise for update in learning.updates)
    return by_update or any(change.images for change in (*learning.timetable, *changes))


def finished(learning: schema.Learning, errors: Sequence[float]) -> bool:
    """Whether training ends here: all epochs are done, or the error stalls after the last drop."""
    if len(errors) >= learning.epochs:
        return True
    return learning.drops_on_plateau and not learning.updates and plateaus(learning, errors) > learning.rate_drops


def few_updates(learning: schema.Learning, images: int) -> str | None:
    """A warning where a training is too short for a net that begins from noise; None where it is not."""
    updates = learning.epochs * -(-images // learning.batch_size)
    if updates >= FEW_UPDATES:
        return None
    return (
        f"{learning.epochs} epochs of {images} images are {updates} updates: a net that begins from noise will hardly "
        "have learned anything by then. Begin with a net that has learned (`init_from`), or give it more epochs, more "
        "images or a smaller `batch_size`."
    )


def why_early(learning: schema.Learning, errors: Sequence[float]) -> str | None:
    """Why a training that is finished ends before all its epochs, in a sentence; None where it does not."""
    if len(errors) >= learning.epochs:
        return None
    drops = f"{learning.rate_drops} drops" if learning.rate_drops != 1 else "one drop"
    return (
        f"The validation error has had no new minimum for {learning.patience} epochs, after {drops} of the learning "
        f"rate: training ends after {len(errors)} of {learning.epochs} epochs, as the paper's does."
    )


def guesses(error: float, classes: int) -> bool:
    """Whether a top-1 error, per cent, is hardly better than that of guessing."""
    chance = 1 / classes
    return 1 - error / 100 < min(1.5 * chance, chance + 0.1)


def stepped_rates(rate: float, divisor: float, steps: Sequence[int], epochs: int) -> list[tuple[int, float]]:
    """(epoch, rate from then on) where the rate drops once each of these numbers of epochs is done."""
    from ..backend import gluoncv

    scheduler = gluoncv.utils.LRScheduler(
        "step", base_lr=rate, nepochs=max(epochs, *steps) + 1, iters_per_epoch=1, step_epoch=list(steps),
        step_factor=1 / divisor,
    )  # fmt: skip
    return [(step, float(scheduler(step))) for step in steps]


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
