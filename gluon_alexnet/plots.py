"""Drawings of runs and nets (Fig. 3, Fig. 4, learning curves). They are drawn without a display, as PNG or SVG."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .atomic_files import written
from .errors import InvalidRequest

KERNELS_PER_ROW = 16  # as in Fig. 3
CAPTION = 20  # characters that have room in a line beneath one of many images
GUESS = 30  # characters that have room in a line above a bar
# Okabe and Ito's colours: who sees red and green alike still tells them apart. Blue and orange-red come first.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
FRAME = COLOURS[2]
FORMATS = (".png", ".svg")


def check_format(file: Path) -> None:
    """Raise InvalidRequest unless the name of a drawing's file ends as one of the formats that can be written."""
    if file.suffix.lower() not in FORMATS:
        raise InvalidRequest(f"{file} must end in {' or '.join(FORMATS)}, which says the format of the drawing.")


def save(figure: Any, file: Path, dpi: int = 120) -> None:
    """Write a figure in the format that the file's ending names, whole or not at all, and close it.

    Raises InvalidRequest for another ending.
    """
    check_format(file)
    pyplot = headless_pyplot()
    try:
        with written(file) as draft:
            figure.savefig(draft, dpi=dpi, format=file.suffix[1:].lower())
    finally:
        pyplot.close(figure)


def percent_axis(axis: Any) -> None:
    """Numbers of an axis as per cent, written as everywhere: 40 %."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))


def draw_curves(runs: Mapping[str, Sequence[dict]], file: Path) -> None:
    """Validation errors of each epoch: run's name → epochs of its state. Solid lines top-1, dashed top-5."""
    pyplot = headless_pyplot()
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, (name, epochs) in enumerate(runs.items()):
        prefix = f"{name}, " if len(runs) > 1 else ""
        places = range(1, len(epochs) + 1)
        for style, key, what in (("-", "validation_top1", "top-1"), ("--", "validation_top5", "top-5")):
            errors = [epoch[key] for epoch in epochs]
            colour = COLOURS[number % len(COLOURS)]
            marker = "o" if len(epochs) == 1 else None
            axes.plot(places, errors, style, color=colour, marker=marker, label=f"{prefix}{what} {errors[-1]:.1f} %")
    axes.set_xlabel("epoch")
    axes.set_ylabel("error on the validation images, centre view")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    percent_axis(axes.yaxis)
    axes.set_xlim(1, max(2, *(len(epochs) for epochs in runs.values())))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", title="after the last epoch", title_fontsize="small")
    save(figure, file)


def draw_filters(kernels: np.ndarray, columns: int, file: Path) -> None:
    """Fig. 3: the kernels of layer 1, float32 (K, 3, height, width), one column of the net above the other.

    Each kernel has its own scale: grey is 0, and its largest weight is at one end of the colours.
    """
    pyplot = headless_pyplot()
    scale = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    images = (0.5 + 0.5 * kernels / np.where(scale > 0, scale, 1)).transpose(0, 2, 3, 1)
    share = len(kernels) // columns
    rows = -(-share // KERNELS_PER_ROW)
    width = min(share, KERNELS_PER_ROW)
    figure, grid = pyplot.subplots(
        columns, 1, figsize=(0.55 * width + 0.6, (0.55 * rows + 0.4) * columns), squeeze=False, layout="constrained"
    )
    for column, axes in enumerate(grid[:, 0]):
        axes.imshow(_tiled(images[column * share : (column + 1) * share], rows, width), interpolation="nearest")
        title = f"column {column + 1}: " if columns > 1 else ""
        axes.set_title(f"{title}{share} kernels of {kernels.shape[2]}×{kernels.shape[3]}×3", fontsize=10)
        axes.axis("off")
    save(figure, file, dpi=150)


class Prediction(NamedTuple):
    """One image with its five best classes; ``label``: its true class by name, or None where nobody knows it."""

    image: np.ndarray  # uint8 (height, width, 3)
    label: str | None
    guesses: list[tuple[str, float]]  # (class name, probability), the best first


def draw_predictions(predictions: Sequence[Prediction], file: Path) -> None:
    """Fig. 4 left: each image, its true class beneath, the five best guesses as bars, the true one bold and orange."""
    pyplot = headless_pyplot()
    across = min(4, len(predictions))
    down = -(-len(predictions) // across)
    figure, grid = pyplot.subplots(
        2 * down, across, figsize=(2.5 * across, 5.1 * down), squeeze=False, height_ratios=[1.15, 1] * down,
        layout="constrained",
    )  # fmt: skip
    for axes in grid.flat:
        axes.axis("off")
    for number, prediction in enumerate(predictions):
        above, below = (grid[2 * (number // across) + part, number % across] for part in (0, 1))
        above.imshow(prediction.image)
        below.set_title(_wrapped(prediction.label or "label unknown", GUESS), fontsize=11, fontweight="bold")
        _draw_guesses(below, prediction)
    save(figure, file)


def _draw_guesses(axes: Any, prediction: Any) -> None:
    """Each guess in words, with its bar and its number beneath."""
    for place, (name, probability) in enumerate(prediction.guesses):
        right = name == prediction.label
        colour, weight = (COLOURS[1], "bold") if right else (COLOURS[0], "normal")
        axes.text(0, place - 0.17, _wrapped(name, GUESS), fontsize=9, fontweight=weight, va="bottom")
        axes.barh(place + 0.06, 0.75, 0.3, color="0.93")
        axes.barh(place + 0.06, 0.75 * probability, 0.3, color=colour)
        axes.text(1, place + 0.06, f"{100 * probability:.1f} %", fontsize=9, ha="right", va="center")
    axes.set_xlim(0, 1)
    axes.set_ylim(max(5, len(prediction.guesses)) - 0.6, -0.75)


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
    figure, grid = pyplot.subplots(
        len(rows),
        across + 2,
        figsize=(1.4 * (across + 1) + 0.5, 1.85 * len(rows)),
        squeeze=False,
        width_ratios=[1, 0.12, *[1] * across],
        layout="constrained",
    )
    for cells, row in zip(grid, rows):
        for axes in cells:
            axes.axis("off")
        if row.image is None:
            cells[0].text(0.5, 0.5, row.caption, ha="center", va="center", fontsize=9, transform=cells[0].transAxes)
        else:
            _captioned(cells[0], row.image, _wrapped(row.caption, CAPTION))
        for axes, neighbour in zip(cells[2:], row.neighbours):
            label = _wrapped(neighbour.label or "label unknown", CAPTION)
            _captioned(axes, neighbour.image, f"{label}\n{neighbour.distance}")
            if neighbour.framed:
                height, width = neighbour.image.shape[:2]
                frame = pyplot.Rectangle((-0.5, -0.5), width, height, fill=False, color=FRAME, linewidth=4)
                axes.add_patch(frame)
    save(figure, file)


def _captioned(axes: Any, image: np.ndarray, caption: str) -> None:
    axes.imshow(image)
    axes.set_title(caption, fontsize=9, y=-0.04, va="top")


def _tiled(images: np.ndarray, rows: int, width: int) -> np.ndarray:
    """(rows·(h+1)+1, width·(w+1)+1, 3): images in rows with a white line around each."""
    _, height, breadth, _ = images.shape
    sheet = np.ones((rows * (height + 1) + 1, width * (breadth + 1) + 1, 3))
    for number, image in enumerate(images):
        top, left = (number // width) * (height + 1) + 1, (number % width) * (breadth + 1) + 1
        sheet[top : top + height, left : left + breadth] = image
    return sheet


def _wrapped(name: str, most: int) -> str:
    """A class's first name, whole, in as many lines as it takes; a dollar in it begins no formula."""
    return "\n".join(textwrap.wrap(name.split(",")[0], most)).replace("$", r"\$") or name


def headless_pyplot() -> Any:
    """Matplotlib's pyplot, drawing to files; the backend that a notebook or a program has chosen stays."""
    import matplotlib

    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
