"""The images of a data set that excite a net's units most, as a drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.recordio.reading.reader import Reader

from ..data.augmentation import crop_views
from ..errors import InvalidRequest
from ..features.activations import open_layers
from ..features.receptive_field import of_layer
from ..features.strongest import strongest
from ..model import layer_chain
from ..plots import units as unit_plots
from .devices import open_device
from .load import open_graph
from .progress import ImageProgress, silent
from .run_data import data_of_run

BATCH = 64
SPREAD = 6  # units that are drawn where none are named
MOST_UNITS = 40


@dataclass(frozen=True)
class UnitImages:
    """The images that excite one unit most."""

    unit: int
    column: int | None  # of the net, from 1; None where it has one
    keys: list[str]  # of the data set's records, the strongest first
    values: list[float]


@dataclass(frozen=True)
class DrawnUnits:
    """What :func:`plot_units` drew."""

    units: list[UnitImages]
    searched: int  # images of the split
    data: Path


def plot_units(
    model: Path,
    layer: str,
    output: Path,
    *,
    data: Path | None = None,
    split: str = "val",
    units: Sequence[int] | None = None,
    count: int = 9,
    device: Any = None,
    progress: ImageProgress = silent,
) -> DrawnUnits:
    """Draw the ``count`` images of a split that excite units of a layer most, with their receptive fields.

    model: a run, a checkpoint or an exported net. data: data set folder (default: the run's); centre views are taken.
    units: maps of a convolutional layer, or neurons; None spreads six over the layer. Raises InvalidRequest for a layer
    or a unit that there is not.
    """
    context = open_device(device, "This drawing")
    folder = data or data_of_run(model)
    with Reader(folder, split) as reader, progress(len(reader), layer) as bar:
        found = _draw(model, reader, layer, units, output, context, count, bar)
        return DrawnUnits(found, len(reader), folder)


def _draw(
    model: Path,
    reader: Reader,
    layer: str,
    units: Sequence[int] | None,
    output: Path,
    context: Any,
    count: int,
    report: Callable[[int], None],
) -> list[UnitImages]:
    graph = open_graph(model, context)
    net = open_layers(graph, [layer], False, context)
    shape = net.shapes[layer]
    chosen = _units(layer, shape[0], units)
    layers = layer_chain.read(graph.symbol, graph.size)
    field, columns = of_layer(layers, layer), _columns(layers)
    batches = reader.batches(BATCH)
    found = strongest(lambda views: net.compute(views)[layer], graph.size, batches, chosen, count, report)
    rows, told = [], []
    for unit, responses in zip(chosen, found):
        column = unit * columns // shape[0] + 1 if columns > 1 and layer not in ("fc8", "softmax") else None
        images = [
            unit_plots.Excited(
                crop_views(reader.read(one.image)[0][None], graph.size, 1)[0, 0],
                one.value,
                field.box(one.row, one.column) if field else None,
            )
            for one in responses
        ]
        inactive = "never active" if responses[0].value <= 0 else ""
        note = "\n".join(part for part in (f"column {column}" if column else "", inactive) if part)
        rows.append(unit_plots.UnitRow(f"unit {unit}", note, images))
        told.append(
            UnitImages(unit, column, [reader.key(one.image) for one in responses], [r.value for r in responses])
        )
    sees = f"each sees {field.size}×{field.size} pixels, framed" if field else "each sees the whole view"
    title = f"{layer}: the {count} of {len(reader):,} images that excite a unit most ({sees}; activation above)"
    unit_plots.draw_units(rows, title, output)
    return told


def _units(layer: str, there: int, units: Sequence[int] | None) -> list[int]:
    if units is None:
        return sorted({int(unit) for unit in np.linspace(0, there - 1, SPREAD).round()})
    if len(units) > MOST_UNITS:
        raise InvalidRequest(f"{len(units)} units at a time are too many to read; name {MOST_UNITS} or fewer.")
    for unit in units:
        if not 0 <= unit < there:
            raise InvalidRequest(f"{layer} has no unit {unit}: it has {there}, numbered from 0.")
    return list(dict.fromkeys(units))


def _columns(layers: Sequence[Any]) -> int:
    return max((getattr(layer.kind, "groups", 1) for layer in layers), default=1)
