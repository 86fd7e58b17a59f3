"""What excites the units of a layer: the images, and what lies in each unit's receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..drawing import headless_pyplot, save

FRAME = "#ffd400"  # seen on dark and on bright images
GREY = 222  # where a receptive field reaches beyond the view


class Excited(NamedTuple):
    """One image that excites a unit, as the net sees it."""

    view: np.ndarray  # uint8 (size, size, 3)
    value: float  # the activation
    box: Optional[tuple[int, int, int, int]]  # receptive field: top, left, bottom, right in pixels; None: all of it


class UnitRow(NamedTuple):
    """A unit and the images that excite it most, the strongest first."""

    title: str  # "conv5 · unit 17"
    note: str  # "column 1"
    images: Sequence[Excited]


def draw_units(rows: Sequence[UnitRow], title: str, file: Path) -> None:
    """For each unit a line of images with the receptive field framed, and beneath them what lies in it."""
    pyplot = headless_pyplot()
    across = max(len(row.images) for row in rows)
    fields = any(image.box for row in rows for image in row.images)
    lines = 2 if fields else 1
    height = (1.13 * lines + 0.27) * len(rows) + 0.45
    figure = pyplot.figure(figsize=(1.2 * across + 1.35, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    figure.suptitle(title, fontsize=13, x=0.012, ha="left")
    for part, row in zip(np.atleast_1d(figure.subfigures(len(rows), 1)), rows):
        grid = part.subplots(lines, across + 1, squeeze=False, width_ratios=[1.05, *[1] * across])
        for axes in grid.flat:
            axes.axis("off")
        label = f"{row.title}\n{row.note}" if row.note else row.title
        grid[0, 0].text(0, 0.5, label, fontsize=11, va="center", transform=grid[0, 0].transAxes)
        if fields:
            grid[1, 0].text(0, 0.5, "what the unit\nsees of them", fontsize=8.5, va="center", color="0.4")
        for place, image in enumerate(row.images, 1):
            grid[0, place].imshow(image.view)
            grid[0, place].set_title(f"{image.value:#.3g}", fontsize=8, pad=2, color="0.3")
            if image.box:
                _frame(pyplot, grid[0, place], image.box, len(image.view))
                grid[1, place].imshow(_cut(image.view, image.box))
    save(figure, file, dpi=130)


def _frame(pyplot: Any, axes: Any, box: Any, size: int) -> None:
    """The part of the receptive field that lies in the view, framed."""
    top, left, bottom, right = (min(max(edge, 0), size) for edge in box)
    axes.add_patch(
        pyplot.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color=FRAME, linewidth=1.8)
    )


def _cut(view: np.ndarray, box: Any) -> np.ndarray:
    """The pixels of a receptive field; grey where there is no view."""
    top, left, bottom, right = box
    size = len(view)
    cut = np.full((bottom - top, right - left, 3), GREY, np.uint8)
    rows, columns = slice(max(top, 0), min(bottom, size)), slice(max(left, 0), min(right, size))
    cut[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = view[rows, columns]
    return cut
