"""What several layers of a graph are made of, written once for arrays and for symbols (``F``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LOWEST = -2e38  # what is beyond a map, for a maximum


def padded(F: Any, x: Any, before: int, after: int, value: float) -> Any:
    """Maps with so many more pixels left and above, right and below; negative: with so many less."""
    if before < 0 or after < 0:
        begin, end = max(-before, 0), after if after < 0 else None
        x = F.slice(x, begin=(None, None, begin, begin), end=(None, None, end, end))
    before, after = max(before, 0), max(after, 0)
    if not (before or after):
        return x
    pad_width = (0, 0, 0, 0, before, after, before, after)
    return F.pad(x, mode="constant", constant_value=value, pad_width=pad_width)


def copied(F: Any, x: Any, **name: str) -> Any:
    """The same in memory of its own, in MXNet's layout."""
    return F.pad(x, mode="constant", constant_value=0, pad_width=(0,) * 8, **name)


def mean(F: Any, x: Any, before: int, after: int, numbers: dict[str, Any]) -> Any:
    """Means of windows, each over the pixels that are in the map."""
    numbers = {**numbers, "pool_type": "sum"}
    sums = F.Pooling(padded(F, x, before, after, 0), **numbers)
    pixels = F.Pooling(padded(F, F.ones_like(x), before, after, 0), **numbers)
    return F.elemwise_div(sums, pixels)


def neuron(F: Any, x: Any, name: str, numbers: Sequence[float]) -> Any:
    """One of cuda-convnet's activation functions by its name there; its numbers are the ones it names."""
    if name == "ident":
        return x
    if name in ("relu", "softrelu"):
        return F.Activation(x, act_type=name, name="out")
    if name == "tanh":
        return numbers[0] * F.tanh(numbers[1] * x)
    if name == "brelu":
        return F.clip(x, a_min=0, a_max=numbers[0], name="out")
    if name == "linear":
        return numbers[0] * x + numbers[1]
    if name == "drelu":
        return x - numbers[0] * F.tanh(x / numbers[0])
    return {"logistic": F.sigmoid, "abs": F.abs, "square": F.square, "sqrt": F.sqrt}[name](x, name="out")
