"""What changes while a net learns: a list of dated changes of learning rates and of the colour shift (Sec. 5, 4.1).

The author of 2012 turned the rates by hand and wrote each turn into a diary, such as "epoch 67: set epsw to 0.00001
from 0.0001 on conv1, set color noise to 0". A timetable is such a diary, written before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Optional

from ..errors import InvalidRequest

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc6", "fc7", "bottleneck", "fc8")
IMAGES_OF_A_FILE = 1024  # images in one of the 2012 code's data files: its diary counts epoch.file
LONGEST = 1000  # changes


@dataclass(frozen=True)
class Change:
    """What is so from this moment on."""

    epoch: int = 0  # finished epochs; 0 is the beginning
    images: int = 0  # and so many images of the next epoch
    layers: tuple[str, ...] = ()  # those it is about; empty: all of them
    weight_rate: Optional[float] = None  # learning rate of their weights; None: as before
    # Learning rate of their biases; None: as before, which at first is that of their weights.
    bias_rate: Optional[float] = None
    colour_std: Optional[float] = None  # standard deviation of the colour shift's factors; None: as before

    def __post_init__(self) -> None:
        if self.epoch < 0 or self.images < 0:
            raise InvalidRequest(f"A change after epoch {self.epoch}, image {self.images}, is before the beginning.")
        for name in ("weight_rate", "bias_rate", "colour_std"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InvalidRequest(f"The {name} of a change must be a number, 0 or more, not {value}.")
        if self.colour_std is not None and self.images:
            raise InvalidRequest("The colour shift changes between epochs, not within one.")
        if self.weight_rate is None and self.bias_rate is None and self.colour_std is None:
            raise InvalidRequest(f"The change after epoch {self.epoch} changes nothing.")

    def __str__(self) -> str:
        whole, rest = divmod(self.images, IMAGES_OF_A_FILE)
        within = f".{whole}" if not rest and whole else f" and {self.images} images" if self.images else ""
        names = " of " + ", ".join(self.layers) if self.layers else ""
        parts = []
        if self.weight_rate is not None:
            parts.append(f"weights{names} {self.weight_rate:g}")
        if self.bias_rate is not None:
            parts.append(f"biases{names} {self.bias_rate:g}")
        if self.colour_std is not None:
            parts.append(f"colour {self.colour_std:g}")
        return f"after {self.epoch}{within}: {'; '.join(parts)}"


Timetable = tuple[Change, ...]


@dataclass(frozen=True)
class RateRequest:
    """A learning rate that somebody wants while a run goes on."""

    rate: float
    by: str  # who
    layers: tuple[str, ...] = ()  # those it is for; empty, and not for biases: the rate that all others follow
    biases: bool = False  # for biases, not for weights


def check(changes: Sequence[Change]) -> None:
    """Raise InvalidRequest where a change comes before the one it follows."""
    for first, second in pairwise(changes):
        if (second.epoch, second.images) < (first.epoch, first.images):
            raise InvalidRequest(f'The timetable is out of order: "{second}" stands behind "{first}".')
    if len(changes) > LONGEST:
        raise InvalidRequest(f"The timetable has {len(changes):,} changes; up to {LONGEST:,} are read.")


def rates_at(
    rate: float, changes: Iterable[Change], layers: Iterable[str], epoch: int, images: int = 0
) -> dict[str, tuple[float, float | None]]:
    """Learning rates (weights, biases) of each of these layers at a moment; biases None: those of its weights."""
    found: dict[str, tuple[float, float | None]] = dict.fromkeys(layers, (rate, None))
    for change in changes:
        if (change.epoch, change.images) > (epoch, images):
            continue
        for layer in change.layers or found:
            if layer in found:
                weights, biases = found[layer]
                weights = weights if change.weight_rate is None else change.weight_rate
                found[layer] = weights, biases if change.bias_rate is None else change.bias_rate
    return found


def colour_std(first: float, changes: Iterable[Change], epoch: int) -> float:
    """Standard deviation of the colour shift's factors in an epoch, counted from 0."""
    for change in changes:
        if change.colour_std is not None and change.epoch <= epoch:
            first = change.colour_std
    return first


def frozen(rate: float, changes: Sequence[Change]) -> set[str]:
    """The layers that never move: their rates are 0 from the beginning to the end."""
    moments = {(0, 0), *((change.epoch, change.images) for change in changes)}
    always = [rates_at(rate, changes, LAYERS, *moment) for moment in moments]
    return {layer for layer in LAYERS if all(rates[layer] in ((0, 0), (0, None)) for rates in always)}


def scaled(changes: Iterable[Change], factor: float) -> Timetable:
    """The same with the weights' rates so many times as large."""
    return tuple(
        change if change.weight_rate is None else replace(change, weight_rate=change.weight_rate * factor)
        for change in changes
    )


def with_factors(rate: float, changes: Sequence[Change], factors: Mapping[str, float]) -> Timetable:
    """The same with both rates of some layers so many times as large, from the beginning on."""
    moments = sorted({(0, 0), *((change.epoch, change.images) for change in changes)})

    def at(moment: tuple[int, int]) -> dict[str, tuple[float, float | None]]:
        return {
            layer: (weights * factors.get(layer, 1.0), None if biases is None else biases * factors.get(layer, 1.0))
            for layer, (weights, biases) in rates_at(rate, changes, LAYERS, *moment).items()
        }

    return _of_moments(rate, moments, at, changes)


def with_steps(changes: Sequence[Change], steps: Sequence[tuple[int, float]]) -> Timetable:
    """The same with other drops of the rate that most layers have: (finished epochs, rate from then on).

    What the list says of single layers stays, and so do biases and colour.
    """
    kept = [
        replace(change, weight_rate=None)
        if change.epoch and change.weight_rate is not None and _general(change)
        else change
        for change in changes
        if not (_general(change) and change.epoch and change.bias_rate is None and change.colour_std is None)
    ]
    drops = []
    for epoch, lower in steps:
        special = {layer for change in kept if change.epoch <= epoch and _special(change) for layer in change.layers}
        others = tuple(layer for layer in LAYERS if layer not in special) if special else ()
        drops.append(Change(epoch, layers=others, weight_rate=lower))
    return tuple(sorted([*kept, *drops], key=lambda change: (change.epoch, change.images)))


def drops(rate: float, divisor: float, changes: Sequence[Change]) -> list[tuple[int, float]]:
    """(finished epochs, rate from then on) of the drops by ``divisor`` that most layers have; empty for other ones."""
    found = [(change.epoch, change.weight_rate) for change in changes if change.epoch and _general(change)]
    expected = [rate / divisor ** (place + 1) for place in range(len(found))]
    regular = all(math.isclose(own or 0.0, other) for (_, own), other in zip(found, expected))
    return [(epoch, float(own or 0.0)) for epoch, own in found] if regular else []


def without_colour(changes: Iterable[Change]) -> Timetable:
    """The same without a word on the colour shift."""
    kept = []
    for change in changes:
        if change.weight_rate is not None or change.bias_rate is not None:
            kept.append(replace(change, colour_std=None))
    return tuple(kept)


def from_old_fields(learning: Mapping, colour_epochs: int | None) -> Timetable:
    """The timetable of a recipe that had seven fields instead, with their names of version 3.

    learning: learning_rate, bias_rate, rate_divisor, rate_steps, conv1_slow_after, conv1_slow_rate, conv1_frozen_after,
    layer_rates.
    """
    rate, factors = learning["learning_rate"], learning["layer_rates"]
    slow, stop = learning["conv1_slow_after"], learning["conv1_frozen_after"]
    steps = list(learning["rate_steps"])
    moments = sorted({0, *steps, *(epoch for epoch in (slow, stop) if epoch is not None)})

    def at(moment: tuple[int, int]) -> dict[str, tuple[float, float | None]]:
        epoch = moment[0]
        weights = rate / learning["rate_divisor"] ** sum(step <= epoch for step in steps)
        found: dict[str, tuple[float, float | None]] = {}
        for layer in LAYERS:
            own, biases = weights, learning["bias_rate"]
            if layer == "conv1" and stop is not None and epoch >= stop:
                own, biases = 0.0, 0.0
            elif layer == "conv1" and slow is not None and epoch >= slow:
                own = learning["conv1_slow_rate"]
                biases = weights if biases is None else biases
            factor = factors.get(layer, 1.0)
            found[layer] = own * factor, None if biases is None else biases * factor
        return found

    colours = [] if colour_epochs is None else [Change(colour_epochs, colour_std=0.0)]
    return _of_moments(rate, [(epoch, 0) for epoch in moments], at, colours)


def _general(change: Change) -> bool:
    """Whether a change of weights is about most layers."""
    return change.weight_rate is not None and (not change.layers or len(change.layers) > len(LAYERS) // 2)


def _special(change: Change) -> bool:
    return change.weight_rate is not None and not _general(change)


def _of_moments(
    rate: float,
    moments: Sequence[tuple[int, int]],
    at: Callable[[tuple[int, int]], dict[str, tuple[float, float | None]]],
    others: Iterable[Change],
) -> Timetable:
    """Changes that make the rates of each moment, and what ``others`` say of the colour shift."""
    found: list[Change] = []
    before: dict[str, tuple[float, float | None]] = dict.fromkeys(LAYERS, (rate, None))
    for moment in moments:
        now = at(moment)
        for kind in (0, 1):
            values: dict[float, list[str]] = {}
            for layer in LAYERS:
                value = now[layer][kind]
                if value is not None and value != before[layer][kind]:
                    values.setdefault(value, []).append(layer)
            for value, layers in values.items():
                names = () if len(layers) == len(LAYERS) else tuple(layers)
                found.append(Change(*moment, names, *((None, value) if kind else (value,))))
        before = now
    found += [Change(change.epoch, colour_std=change.colour_std) for change in others if change.colour_std is not None]
    return tuple(sorted(found, key=lambda change: (change.epoch, change.images)))


def read(text: str, source: str, known: Sequence[str] = LAYERS) -> Timetable:
    """The timetable of a text: a line a moment, "EPOCH[.FILE]: change, change"; after # a remark.

    A change is "RATE", "LAYERS RATE", "bias RATE", "LAYERS bias RATE" or "colour STD"; LAYERS is a layer, a range such
    as conv1-5, or several with + between. Raises InvalidRequest, naming source and line, for what is none of these,
    and for moments out of order.
    """
    changes: list[Change] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        try:
            moment, colon, said = line.partition(":")
            found = re.fullmatch(r"(\d{1,6})(?:\.(\d{1,6}))?", moment.strip())
            if not (found and colon):
                raise InvalidRequest(f'"{line[:60]}" does not begin with an epoch and a colon, as "67: conv1 0" does')
            images = int(found[2] or 0) * IMAGES_OF_A_FILE
            changes += [_read_change(int(found[1]), images, part.split(), known) for part in said.split(",")]
            check(changes)
        except InvalidRequest as error:
            raise InvalidRequest(f"{source}, line {number}: {str(error).rstrip('.')}.") from error
    return tuple(changes)


def _read_change(epoch: int, images: int, words: list[str], known: Sequence[str]) -> Change:
    try:
        value = float(words[-1])
    except (IndexError, ValueError) as error:
        raise InvalidRequest(f'"{" ".join(words)[:60]}" does not end with a number') from error
    words = words[:-1]
    if words == ["colour"]:
        return Change(epoch, images, colour_std=value)
    biases = bool(words) and words[-1] == "bias"
    words = words[:-1] if biases else words
    if len(words) > 1:
        raise InvalidRequest(f'"{" ".join(words)[:60]}" is no layer; several have + between them')
    layers = tuple(layer for part in words for name in part.split("+") for layer in _layers(name, known))
    return Change(epoch, images, layers, *((None, value) if biases else (value,)))


def _layers(name: str, known: Sequence[str]) -> list[str]:
    """The layers of a name or a range."""
    found = re.fullmatch(r"([a-z]+)(\d)-(\d)", name)
    names = [f"{found[1]}{place}" for place in range(int(found[2]), int(found[3]) + 1)] if found else [name]
    for one in names or [name]:
        if one not in known:
            raise InvalidRequest(f"there is no layer {one[:40]!r}; there are {', '.join(known)}")
    return names
