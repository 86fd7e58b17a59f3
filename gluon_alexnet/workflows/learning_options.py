"""How a user changes the way a recipe learns: another rate, other steps, factors of layers, a whole timetable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InvalidRequest
from ..recipes import timetable
from ..recipes.layer_graph import LayerGraph
from ..recipes.schema import Learning, Recipe
from ..recipes.timetable import Change
from ..safe_files import read_text


@dataclass(frozen=True)
class LearningOptions:
    """What is changed; None leaves the recipe's own."""

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None  # at the beginning; what the timetable says of weights grows or falls with it
    steps: Sequence[int] | None = None  # epochs after which the rate of most layers drops, instead of the recipe's
    plateau: int | None = None  # drop it when the validation error has had no new minimum for so many epochs
    layer_factors: Mapping[str, float] | None = None  # what single layers' rates are multiplied by
    # A file that says all changes, or the changes, instead of the recipe's.
    timetable: Path | str | Sequence[Change] | None = None


def changed(recipe: Recipe, options: LearningOptions) -> Recipe:
    """The recipe with another way to learn. Raises InvalidRequest for options that contradict each other or the net."""
    if options.steps is not None and options.plateau is not None:
        raise InvalidRequest("Steps and a plateau contradict each other: give `steps` or `plateau`, not both.")
    if options.timetable is not None and (options.steps is not None or options.plateau is not None):
        raise InvalidRequest("A timetable says when the rate drops: give no steps and no plateau beside it.")
    learning = recipe.learning
    plain: dict[str, Any] = {"epochs": options.epochs, "batch_size": options.batch_size, "patience": options.plateau}
    learning = replace(learning, **{name: value for name, value in plain.items() if value is not None})
    if options.timetable is not None:
        learning = _with_timetable(learning, recipe, options.timetable)
    if isinstance(recipe.network, LayerGraph):
        return replace(recipe, learning=_of_graph(learning, options))
    if options.learning_rate is not None:
        factor = options.learning_rate / learning.learning_rate
        changes = timetable.scaled(learning.timetable, factor)
        learning = replace(learning, learning_rate=options.learning_rate, timetable=changes)
    if options.steps is not None or options.plateau is not None:
        changes = timetable.with_steps(learning.timetable, _drops(learning, options.steps or ()))
        learning = replace(learning, timetable=changes, drops_on_plateau=options.plateau is not None)
    if options.layer_factors is not None:
        check_layers(recipe, options.layer_factors)
        changes = timetable.with_factors(learning.learning_rate, learning.timetable, options.layer_factors)
        learning = replace(learning, timetable=changes)
    return replace(recipe, learning=learning)


def with_learning(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with another way to learn: fields of LearningOptions, and other numbers of the recipe's Learning.

    Raises InvalidRequest for a name that is in neither, and for options that contradict each other.
    """
    options = {one.name for one in fields(LearningOptions)}
    known = {one.name for one in fields(recipe.learning)}
    unknown = sorted(set(changes) - known - options)
    if unknown:
        names = ", ".join(sorted(known | options))
        raise InvalidRequest(f"There is no {unknown[0]!r} in a recipe's learning; there are {names}.")
    numbers = {name: value for name, value in changes.items() if name not in options}
    recipe = replace(recipe, learning=replace(recipe.learning, **numbers))
    return changed(recipe, LearningOptions(**{name: value for name, value in changes.items() if name in options}))


def layers_of(recipe: Recipe) -> list[str]:
    """Names of the layers with weights, in the net's order."""
    network = recipe.network
    if isinstance(network, LayerGraph):
        return [layer.name for layer in network.layers]
    return [name for name, _ in (*network.convolutions(), *network.hidden())] + ["fc8"]


def check_layers(recipe: Recipe, named: Iterable[str]) -> None:
    """Raise InvalidRequest for a layer that the recipe's net has not."""
    there = layers_of(recipe)
    absent = [layer for layer in named if layer not in there]
    if absent:
        raise InvalidRequest(f"This net has no layer {absent[0]}; it has {', '.join(there)}.")


def _drops(learning: Learning, steps: Sequence[int]) -> Sequence[tuple[int, float]]:
    from ..training.lr_schedule import stepped_rates

    if any(step < 1 for step in steps) or any(a >= b for a, b in pairwise(steps)):
        raise InvalidRequest(f"Steps are epochs, 1 or more, and must rise, not {','.join(map(str, steps))}.")
    return stepped_rates(learning.learning_rate, learning.rate_divisor, steps, learning.epochs) if steps else ()


def _with_timetable(learning: Learning, recipe: Recipe, given: Path | str | Sequence[Change]) -> Learning:
    if isinstance(given, (str, Path)):
        try:
            text = read_text(given)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"{given} is no timetable that can be read.") from error
        given = timetable.read(text, str(given), layers_of(recipe))
    if not given:
        raise InvalidRequest("A timetable without a change changes nothing.")
    return replace(learning, timetable=tuple(given), drops_on_plateau=False)


def _of_graph(learning: Learning, options: LearningOptions) -> Learning:
    """A net of layer files gives each parameter a rate; its largest of weights is what a learning rate means."""
    if options.layer_factors is not None or options.plateau is not None:
        raise InvalidRequest(
            "Factors of layers and a plateau are for recipes: a net of layer files has its rates in the parameter file."
        )
    weights = [update.rate for update in learning.updates if not update.parameter.endswith("_bias")]
    if options.learning_rate is not None:
        if not max(weights):
            raise InvalidRequest("All rates of the parameter file are 0: there is none to change; write epsW= there.")
        factor = options.learning_rate / max(weights)
        updates = tuple(
            one if one.parameter.endswith("_bias") else replace(one, rate=one.rate * factor) for one in learning.updates
        )
        learning = replace(learning, updates=updates)
    if options.steps is not None:
        learning = replace(learning, timetable=(*learning.timetable, *_graph_steps(learning, options.steps)))
    return learning


def _graph_steps(learning: Learning, steps: Sequence[int]) -> list[Change]:
    rates: dict[str, set[float]] = {}
    for update in learning.updates:
        if not update.parameter.endswith("_bias"):
            rates.setdefault(update.parameter.rpartition("_")[0], set()).add(update.rate)
    several = [layer for layer, found in rates.items() if len(found) > 1]
    if several:
        raise InvalidRequest(
            f"Steps give a layer one rate, and the inputs of {several[0]} have several: write schedW=."
        )
    layers_of: dict[float, list[str]] = {}
    for layer, (rate,) in rates.items():
        if rate:
            layers_of.setdefault(rate, []).append(layer)
    drops = {rate: _drops(replace(learning, learning_rate=rate), steps) for rate in layers_of}
    changes = [
        Change(epoch, 0, tuple(layers), lower) for rate, layers in layers_of.items() for epoch, lower in drops[rate]
    ]
    return sorted(changes, key=lambda change: change.epoch)
