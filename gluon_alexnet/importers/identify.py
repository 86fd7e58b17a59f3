"""Which AlexNet a file of arrays holds: by the names and shapes of its weights, and by conv1 whether it was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import one_weird_trick
from .arrays import ArrayTable, StoredArray, elements, read_array
from .caffe.outline import read_outline
from .families import CAFFE_ORDERS, Match, match_shapes
from .files import format_of
from .trained import Verdict, judge_kernels

_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc6", "fc7", "fc8")
_SMALLEST_KERNEL = 3  # pixels, below which no neighbours can be alike


@dataclass(frozen=True)
class Identity:
    """What a file is.

    family: the AlexNet that it is, or the nearest one; differences: from that, in words, none where it is that net.
    classes: outputs, 0 where there is no classifier. kernels: whether conv1 looks trained; None if it cannot be told.
    """

    format: str
    family: str
    differences: tuple[str, ...]
    classes: int
    parameters: int
    kernels: Verdict | None
    names: str = ""  # whose names the layers have, where that is known


def identify_arrays(file: Path) -> Identity:
    """Look at a file of weights: .pth, .safetensors, .params, a pickle of arrays, or a caffemodel.

    Raises InvalidRequest where it is none of them, OperationFailed where it is cut, damaged or hostile.
    """
    found = format_of(file)
    named: Mapping[str, StoredArray]
    if found is None:
        outline = read_outline(file)
        named, names = _plain_names(outline.arrays)
        title, match = "a caffemodel", _of_caffe(named, outline.order)
    else:
        table = found.read(file)
        named, names = _our_names(table)
        title, match = found.title, _of_shapes(named)
    return of_named(file, title, match, named, names)


def _of_caffe(named: Mapping[str, StoredArray], order: Sequence[str]) -> Match:
    match = match_shapes({name: stored.shape for name, stored in named.items()})
    layers = "".join(f" {kind}" for kind in order)
    for family, (first, second) in CAFFE_ORDERS.items():
        if f" conv {first} {second} conv {first} {second}" in layers:
            return Match(family, match.differences)
    return match


def _of_shapes(named: Mapping[str, StoredArray]) -> Match:
    return match_shapes({name: stored.shape for name, stored in named.items()})


def _our_names(table: ArrayTable) -> tuple[Mapping[str, StoredArray], str]:
    """(arrays by our names, whose names they had): another program's, or ours, with any prefix."""
    found = one_weird_trick.find(table)
    ours, _ = _plain_names(table)
    if found is None or len(ours) >= len(found.arrays):
        return ours, "this program"
    return {
        name: StoredArray(shape, table[own].type, _in_order(table[own], found.naming.height_first))
        for name, (own, shape) in found.arrays.items()
    }, found.naming.title


def _in_order(stored: StoredArray, height_first: bool) -> Callable[[], np.ndarray]:
    if not height_first or len(stored.shape) != 4:
        return stored.content
    return lambda: np.ascontiguousarray(stored.content().transpose(3, 2, 0, 1))


def _plain_names(table: Mapping[str, StoredArray]) -> tuple[dict[str, StoredArray], str]:
    """Arrays called conv1_weight or conv1.weight, or a caffemodel's, by our names."""
    named = {}
    for name, stored in table.items():
        layer, _, end = name.replace(".", "_").rpartition("_")
        layer = layer.rpartition("_")[2]
        if layer in _LAYERS and end in ("weight", "bias"):
            named[f"{layer}_{end}"] = stored
    return named, "Caffe"


def of_named(file: Path, title: str, match: Match, named: Mapping[str, StoredArray], names: str = "") -> Identity:
    """The identity of arrays by our names, such as conv1_weight. Raises OperationFailed where conv1 is damaged."""
    if "conv1_weight" not in named:
        return Identity(title, "", ("no layer has the name of AlexNet's first",), 0, 0, None)
    classes = named["fc8_weight"].shape[0] if "fc8_weight" in named and named["fc8_weight"].shape else 0
    parameters = sum(elements(stored.shape) for stored in named.values())
    return Identity(title, match.family, match.differences, classes, parameters, _kernels(file, named), names)


def _kernels(file: Path, named: Mapping[str, StoredArray]) -> Verdict | None:
    stored = named["conv1_weight"]
    if len(stored.shape) != 4 or min(stored.shape) < 1 or min(stored.shape[2:]) < _SMALLEST_KERNEL:
        return None
    return judge_kernels(read_array(file, "conv1", stored))
