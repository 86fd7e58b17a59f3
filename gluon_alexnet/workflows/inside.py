"""What excites a net's units, and which pixels speak for a class, as drawings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidRequest
from .load import open_graph

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


def draw_units(
    model: Path,
    reader: Any,
    layer: str,
    units: Sequence[int] | None,
    output: Path,
    context: Any,
    *,
    count: int = 9,
    report: Callable[[int], None] = lambda images: None,
) -> list[UnitImages]:
    """Draw the ``count`` images of a split that excite units of a layer most, with their receptive fields: a PNG.

    model: a run, a checkpoint or an exported net. reader: a recordio Reader of the split; centre views are taken.
    units: maps of a convolutional layer, or neurons; None spreads six over the layer. report: called with the number of
    images after each batch. Raises InvalidRequest for a layer or a unit that there is not.
    """
    from ..data.augmentation import crop_views
    from ..features.activations import open_layers
    from ..features.receptive_field import of_layer
    from ..features.strongest import strongest
    from ..model import layer_chain
    from ..plots import units as unit_plots

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
        silent = "never active" if responses[0].value <= 0 else ""
        note = "\n".join(part for part in (f"column {column}" if column else "", silent) if part)
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


@dataclass(frozen=True)
class Followed:
    """An image, and the class whose output was followed back to its pixels."""

    name: str
    wnid: str
    class_name: str
    probability: float


def draw_saliency(
    model: Path, images: Sequence[tuple[str, np.ndarray]], wanted: str | None, output: Path, context: Any
) -> list[Followed]:
    """Draw images with the gradient of a class's output in each pixel: a PNG.

    model: a run, a checkpoint or an exported net. images: (name, uint8 (256, 256, 3)); centre views are taken. wanted:
    a class by wnid, name or number; None is each image's own first guess. Raises InvalidRequest for an unknown class.
    """
    from ..data.augmentation import crop_views
    from ..features.saliency import image_gradient
    from ..plots import saliency as saliency_plots
    from .load import open_model

    graph, net = open_graph(model, context), open_model(model, context)
    views = crop_views(np.stack([pixels for _, pixels in images]), graph.size, 1)[:, 0]
    probabilities = net.classify(views)
    best = probabilities.argmax(axis=1)
    labels = best if wanted is None else np.full(len(views), find_class(net.classes, wanted))
    gradients = image_gradient(graph, views, labels, context)
    drawn, followed = [], []
    for (name, _), view, label, guess, row, gradient in zip(images, views, labels, best, probabilities, gradients):
        info, other = net.classes[label], net.classes[guess]["name"].split(",")[0]
        note = "the first guess" if label == guess else f"the first guess is {other}"
        class_name = info["name"].split(",")[0]
        drawn.append(saliency_plots.Salient(view, class_name, float(row[label]), note, gradient))
        followed.append(Followed(name, info["wnid"], class_name, float(row[label])))
    saliency_plots.draw_saliency(drawn, "Which pixels speak for a class: the gradient of its output", output)
    return followed


def find_class(classes: Sequence[dict], wanted: str) -> int:
    """The label of a class by its wnid, a name or its number. Raises InvalidRequest where none fits, or several."""
    exact = [i for i, one in enumerate(classes) if wanted == one["wnid"]]
    names = [[name.strip().lower() for name in one["name"].split(",")] for one in classes]
    found = exact or [i for i, each in enumerate(names) if wanted.lower() in each]
    if not found and wanted.isdigit() and int(wanted) < len(classes):
        return int(wanted)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(classes[label]["wnid"] for label in found)
        raise InvalidRequest(f"{len(found)} classes have the name {wanted} ({several}); give the wnid.")
    some = ", ".join(f"{one['wnid']} {one['name'].split(',')[0]}" for one in classes[:10])
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    raise InvalidRequest(f"There is no class {wanted}; there are {some}{more}.")
