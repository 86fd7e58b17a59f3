"""Fig. 4 right: images and those most similar to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..drawing import COLOURS, LINE, captioned, class_in_lines, headless_pyplot, save

CAPTION = 20  # characters that have room in a line beneath one of many images
FRAME = COLOURS[2]


class Neighbour(NamedTuple):
    """One of the most similar images."""

    image: np.ndarray  # uint8 (height, width, 3)
    label: str | None  # its class by name, or None where nobody knows it
    distance: str  # as it is to be read
    framed: bool = False


class Similar(NamedTuple):
    """A row of Fig. 4 right: an image, or None where it is that of the row above; its caption; its neighbours."""

    image: np.ndarray | None
    caption: str
    neighbours: list[Neighbour]


def draw_similar(rows: Sequence[Similar], file: Path) -> None:
    """Fig. 4 right: in each row an image and, behind a gap, the most similar ones with class and distance beneath."""
    pyplot = headless_pyplot()
    across = max(len(row.neighbours) for row in rows)
    captions = [
        [
            class_in_lines(row.caption, CAPTION) if row.image is not None else "",
            *(f"{class_in_lines(one.label or 'class not known', CAPTION)}\n{one.distance}" for one in row.neighbours),
        ]
        for row in rows
    ]
    heights = [1.5 + LINE * (1 + max(caption.count("\n") for caption in row)) for row in captions]
    figure, grid = pyplot.subplots(
        len(rows),
        across + 2,
        figsize=(1.4 * (across + 1) + 0.5, sum(heights)),
        squeeze=False,
        width_ratios=[1, 0.12, *[1] * across],
        height_ratios=heights,
        layout="constrained",
    )
    for cells, row, words in zip(grid, rows, captions):
        for axes in cells:
            axes.axis("off")
        if row.image is None:
            cells[0].text(0.5, 0.5, row.caption, ha="center", va="center", fontsize=9, transform=cells[0].transAxes)
        else:
            captioned(cells[0], row.image, words[0])
        for axes, neighbour, caption in zip(cells[2:], row.neighbours, words[1:]):
            captioned(axes, neighbour.image, caption, FRAME if neighbour.framed else None)
    save(figure, file)
