"""Drawings of what excites a net's units, and of which pixels speak for a class, over a data set or files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.reading.reader import Reader

from ..errors import InvalidRequest, OperationFailed
from . import inside
from .devices import open_device
from .image_files import ImageFiles, load_images
from .progress import ImageProgress, silent
from .run_data import check_model, data_of_run

MOST_SALIENT = 16  # images that one drawing can hold


@dataclass(frozen=True)
class DrawnUnits:
    """What :func:`plot_units` drew."""

    units: list[inside.UnitImages]
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
    """Draw the ``count`` images of a split that excite units of a layer most, as :func:`inside.draw_units` says.

    data: data set folder (default: the run's). Raises InvalidRequest for a layer or a unit that there is not.
    """
    context = open_device(device, "This drawing")
    folder = data or data_of_run(model)
    with Reader(folder, split) as reader, progress(len(reader), layer) as bar:
        found = inside.draw_units(model, reader, layer, units, output, context, count=count, report=bar)
        return DrawnUnits(found, len(reader), folder)


def plot_saliency(
    model: Path, images: Sequence[str], output: Path, *, wanted: str | None = None, device: Any = None
) -> list[inside.Followed]:
    """Draw which pixels of images speak for a class, as :func:`inside.draw_saliency` says; an entry for each image.

    images: files and folders. Raises InvalidRequest for an unknown class or more than 16 images, OperationFailed where
    one cannot be read.
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
    return inside.draw_saliency(model, loaded, wanted, output, open_device(device, "This drawing"))
