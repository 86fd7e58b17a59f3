"""Recipes as the plain dicts of a run's recipe.json, and back, from every earlier version of that file too."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from ..errors import InvalidRequest
from . import layer_graph, timetable
from .layer_graph import LayerGraph
from .schema import Net, Network, Recipe

# Of a run, whose recipe.json holds a recipe: 1 had no layer rates, 2 had the names below, 3 had no timetable, 4 had
# no pooling before normalisation, no normalisation over both columns, no jitter, and nothing of the print's own.
FORMAT_VERSION = 6
OLD_NAMES = {
    "border": "padding",
    "weight_deviation": "weight_std",
    "fc8_weight_deviation": "fc8_weight_std",
    "neuron": "activation",
    "colour_deviation": "colour_std",
    "rate": "learning_rate",
}


def to_dict(recipe: Recipe) -> dict:
    """The recipe as plain dicts, lists and numbers, for recipe.json."""
    content = dataclasses.asdict(recipe)
    if isinstance(recipe.network, LayerGraph):
        content["network"] = layer_graph.to_dict(recipe.network)
    return content


def from_dict(content: dict, version: int = FORMAT_VERSION) -> Recipe:
    """The recipe that :func:`to_dict` wrote. Raises InvalidRequest where a field is missing, unknown or out of range.

    version: that of the run's format. Fields that an earlier one did not know have their default values.
    """
    older = version < FORMAT_VERSION
    content = _new_names(content) if version < 3 else content
    return _build(Recipe, _with_timetable(content) if version < 4 else content, "recipe", older)


def _with_timetable(content: Any) -> Any:
    """The fields of a recipe of version 3 or before, with the timetable that seven of them were.

    What is no such recipe is left as it is, for the reader to refuse.
    """
    try:
        learning, augmentation = dict(content["learning"]), dict(content["augmentation"])
        old = {name: learning.pop(name, default) for name, default in _BEFORE_TIMETABLES.items()}
        changes = timetable.from_old_fields({**learning, **old}, augmentation.pop("colour_epochs", None))
        learning["timetable"] = [dataclasses.asdict(change) for change in changes]
        learning["drops_on_plateau"] = not old["rate_steps"]
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return content
    return {**content, "learning": learning, "augmentation": augmentation}


_BEFORE_TIMETABLES: dict[str, typing.Any] = {
    "bias_rate": None,
    "rate_steps": [],
    "conv1_slow_after": None,
    "conv1_slow_rate": 1e-5,
    "conv1_frozen_after": None,
    "layer_rates": {},
}


def _new_names(content: Any) -> Any:
    """The fields of a recipe of version 1 or 2 under today's names."""
    if not isinstance(content, dict):
        return content
    found = {}
    for name, value in content.items():
        new = OLD_NAMES.get(name, name)
        if new in content and new != name:  # both: not an older version's
            return content
        found[new] = _new_names(value)
    return found


def _build(cls: Any, content: Any, where: str, older: bool) -> Any:
    if not isinstance(content, dict):
        raise InvalidRequest(f"{where} must be an object with the fields of a {cls.__name__}.")
    hints = typing.get_type_hints(cls)
    types = {one.name: hints[one.name] for one in dataclasses.fields(cls)}
    unknown = sorted(set(content) - set(types))
    absent = [] if older else sorted(set(types) - set(content))
    if unknown or absent:
        raise InvalidRequest(
            f"{where}: "
            + "; ".join(f"{word} {names}" for word, names in (("unknown", unknown), ("missing", absent)) if names)
        )
    values = {name: _value(types[name], value, f"{where}.{name}", older) for name, value in content.items()}
    return cls(**values)


def _layer(_: Any, content: Any, where: str, older: bool) -> layer_graph.Layer:
    if not isinstance(content, dict):
        raise InvalidRequest(f"{where} must be an object with the fields of a layer.")
    return layer_graph.layer_from_dict(content, lambda cls, fields: _build(cls, fields, where, older))


def _value(kind: Any, value: Any, where: str, older: bool) -> Any:
    if kind == Net:
        kind = LayerGraph if isinstance(value, dict) and "layers" in value else Network
    if typing.get_origin(kind) is typing.Union:  # Optional
        return None if value is None else _value(typing.get_args(kind)[0], value, where, older)
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where, older)
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(item) and isinstance(value, (list, tuple)):
            build = _layer if item is layer_graph.Layer else _build
            return tuple(build(item, one, f"{where}[{place}]", older) for place, one in enumerate(value))
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, item) for v in value):
            raise InvalidRequest(f"{where} must be a list of {item.__name__}, not {value!r}.")
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InvalidRequest(f"{where} must be of type {kind.__name__}, not {value!r}.")
    return value
