"""Which pixels of an image speak for a class, as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.augmentation import crop_views
from ..errors import InvalidRequest, OperationFailed
from ..features.saliency import image_gradient
from ..plots import saliency as saliency_plots
from .devices import open_device
from .image_files import ImageFiles, load_images
from .load import open_graph, open_model
from .run_data import check_model

MOST_SALIENT = 16  # images that one drawing can hold


@dataclass(frozen=True)
class Followed:
    """An image, and the class whose output was followed back to its pixels."""

    name: str
    wnid: str
    class_name: str
    probability: float


def plot_saliency(
    model: Path, images: Sequence[str], output: Path, *, wanted: str | None = None, device: Any = None
) -> list[Followed]:
    """Draw images with the gradient of a class's output in each pixel of the centre view; an entry for each image.

    model: a run, a checkpoint or an exported net. images: files and folders. wanted: a class by wnid, name or number;
    None is each image's own first guess. Raises InvalidRequest for an unknown class or more than 16 images,
    OperationFailed where one cannot be read.
    """
    check_model(model)
    loaded = []
    for batch in load_images(ImageFiles(images), MOST_SALIENT + 1):
        for image in batch:
            if image.pixels is None:
                raise OperationFailed(image.problem)
            loaded.append((image.name, image.pixels))
        if len(loaded) > MOST_SALIENT:
            raise InvalidRequest(f"More than {MOST_SALIENT} images cannot be read in one drawing; give fewer.")
    if not loaded:
        raise OperationFailed("There is not one image to draw.")
    return _draw(model, loaded, wanted, output, open_device(device, "This drawing"))


def _draw(
    model: Path, images: Sequence[tuple[str, np.ndarray]], wanted: str | None, output: Path, context: Any
) -> list[Followed]:
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
