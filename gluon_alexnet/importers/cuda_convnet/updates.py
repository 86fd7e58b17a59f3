"""The rates, momenta and decays of a parameter file."""

from __future__ import annotations

import math
import re

from ...model.graph_shapes import weight_names
from ...recipes import layer_graph as graphs
from ...recipes.graph_updates import Schedule, Update
from .ini import Section

# Numbers of a schedule in the order in which older files give them without names.
_ORDERS = {
    "linear": (("tgtFactor",), ("tgtFactor", "noiseStdev")),
    "exp": (("tgtFactor",), ("tgtFactor", "noiseStdev")),
    "dexp": (("tgtFactor", "numSteps"), ("tgtFactor", "noiseStdev", "numSteps")),
    "jdexp": (("tgtFactor", "numSteps"), ("tgtFactor", "noiseStdev", "numSteps")),
}
_NOT_SUPPORTED = {
    "superEps": "no net of 2012 has it",
    "superMom": "no net of 2012 has it",
    "wcnorm": "it is of an older version of the program; write wcNormMin= and wcNormMax=",
}


def read_updates(layer: graphs.Layer, section: Section) -> list[Update]:
    """How the weights and biases of one layer are updated. Raises InvalidRequest where a number is missing or wrong."""
    names = weight_names(layer)
    count = len(names)
    zeros = {
        key: section.numbers(key, count, 0.0) if key in section else (0.0,) * count
        for key in ("wc", "wball", "wcNormMin", "wcNormMax")
    }
    section.refuse_keys(_NOT_SUPPORTED)
    rates, momenta = section.numbers("epsW", count), section.numbers("momW", count)
    bias = section.number("epsB"), section.number("momB")
    # Files up to #165 have one schedule for both.
    schedules = [_schedule(section, "sched" if "sched" in section else key) for key in ("schedW", "schedB")]
    for momentum in (*momenta, bias[1]):
        if momentum >= 1:
            raise section.refuse(f"momW and momB must be below 1, not {momentum:g}")
    updates = []
    for place, name in enumerate(names):
        low, high = zeros["wcNormMin"][place], zeros["wcNormMax"][place]
        if low > high:
            raise section.refuse("wcNormMin must be wcNormMax or less")
        updates.append(
            Update(
                name,
                rates[place],
                momenta[place],
                decay=zeros["wc"][place],
                schedule=schedules[0],
                # The 2012 code multiplies the bound by the weights of one output.
                ball=zeros["wball"][place],
                contrast=(low, high),
            )
        )
    updates.append(Update(f"{layer.name}_bias", *bias, 0.0, schedules[1], 0.0, (0.0, 0.0)))
    return updates


def _schedule(section: Section, key: str) -> Schedule:
    text = section.text(key, "default")
    found = re.fullmatch(r"(\w+)\s*(?:\[([^\[\]]*)\])?", text)
    if text == "default":
        return Schedule()
    try:
        if found is None or found.group(2) is None:
            raise ValueError
        kind, values = found.group(1), [value.strip() for value in found.group(2).split(",")]
        if all("=" in value for value in values):
            numbers = {name.strip(): float(number) for name, number in (value.split("=") for value in values)}
            order = next(order for order in _ORDERS[kind] if set(order) == set(numbers))
        else:
            order = next(order for order in _ORDERS[kind] if len(order) == len(values))
            numbers = {name: float(value) for name, value in zip(order, values)}
        factor, noise, steps = (numbers.get(name, default) for name, default in zip(_NAMES, (1.0, 0.0, 1.0)))
        if not (0 < factor < math.inf and 0 <= noise < math.inf and steps >= 1 and steps == int(steps)):
            raise ValueError
    except (KeyError, OverflowError, StopIteration, ValueError) as error:
        known = ", ".join(f"{kind}[{','.join(order[-1])}]" for kind, order in _ORDERS.items())
        raise section.refuse(f"{key} must be default or one of {known}, not {text[:60]!r}") from error
    return Schedule(kind, factor, int(steps), noise)


_NAMES = ("tgtFactor", "noiseStdev", "numSteps")
