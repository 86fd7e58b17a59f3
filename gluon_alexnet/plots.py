"""Images of runs and nets (Fig. 3, Fig. 4, learning curves). They are drawn without a display."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

KERNELS_PER_ROW = 16  # as in Fig. 3
CAPTION = 20  # characters that have room beneath one of many images


def draw_curves(runs: Mapping[str, Sequence[dict]], file: Path) -> None:
    """Validation errors of each epoch as a PNG: run's name → epochs of its state. Solid lines top-1, dashed top-5."""
    pyplot = headless_pyplot()
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    from .backend import gluoncv

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.set_xlabel("epoch")
    axes.set_ylabel("error on the validation images (centre view)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place + 1:g}"))  # gluoncv counts from 0
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    for number, (name, epochs) in enumerate(runs.items()):
        prefix = f"{name}, " if len(runs) > 1 else ""
        labels = [f"{prefix}top-1 error", f"{prefix}top-5 error"]
        history = gluoncv.utils.TrainingHistory(labels)
        for epoch in epochs:
            history.update([epoch["validation_top1"] / 100, epoch["validation_top5"] / 100])
        history.plot(colors=[f"C{number}"] * 2, save_path=str(file))
        axes.lines[-1].set_linestyle("--")
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def draw_filters(kernels: np.ndarray, columns: int, file: Path) -> None:
    """Fig. 3: the kernels of layer 1, float32 (K, 3, height, width), one column of the net above the other, as a PNG.

    Each kernel has its own scale: grey is 0, and its largest weight is at one end of the colours.
    """
    pyplot = headless_pyplot()
    scale = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    images = (0.5 + 0.5 * kernels / np.where(scale > 0, scale, 1)).transpose(0, 2, 3, 1)
    share = len(kernels) // columns
    rows = -(-share // KERNELS_PER_ROW)
    width = min(share, KERNELS_PER_ROW)
    figure, grid = pyplot.subplots(
        columns, 1, figsize=(0.55 * width + 0.6, (0.55 * rows + 0.35) * columns), squeeze=False
    )
    for column, axes in enumerate(grid[:, 0]):
        axes.imshow(_tiled(images[column * share : (column + 1) * share], rows, width), interpolation="nearest")
        title = f"column {column + 1}: " if columns > 1 else ""
        axes.set_title(f"{title}{share} kernels of {kernels.shape[2]}×{kernels.shape[3]}×3", fontsize=9)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


class Prediction(NamedTuple):
    """One image with its five best classes; ``label``: its true class by name, or None where nobody knows it."""

    image: np.ndarray  # uint8 (height, width, 3)
    label: str | None
    guesses: list[tuple[str, float]]  # (class name, probability), the best first


def draw_predictions(predictions: Sequence[Prediction], file: Path) -> None:
    """Fig. 4 left: each image, its true class beneath, the five best guesses as bars (the true one in red)."""
    pyplot = headless_pyplot()
    across = min(4, len(predictions))
    down = -(-len(predictions) // across)
    figure, grid = pyplot.subplots(
        2 * down, across, figsize=(2.6 * across, 4.2 * down), squeeze=False, height_ratios=[1.6, 1] * down
    )
    for axes in grid.flat:
        axes.axis("off")
    for number, prediction in enumerate(predictions):
        above, below = (grid[2 * (number // across) + part, number % across] for part in (0, 1))
        above.imshow(prediction.image)
        above.set_title(_short(prediction.label or "label unknown"), fontsize=9, y=-0.14)
        names = [_short(name) for name, _ in prediction.guesses][::-1]
        colours = ["C3" if name == prediction.label else "C0" for name, _ in prediction.guesses][::-1]
        below.barh(
            range(len(names)), [probability for _, probability in prediction.guesses][::-1], color=colours, alpha=0.6
        )
        for place, name in enumerate(names):
            below.text(0.02, place, name, va="center", fontsize=8)
        below.set_xlim(0, 1)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


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
        figsize=(1.3 * (across + 1) + 0.5, 1.65 * len(rows)),
        squeeze=False,
        width_ratios=[1, 0.12, *[1] * across],
        layout="constrained",
    )
    for cells, row in zip(grid, rows):
        for axes in cells:
            axes.axis("off")
        if row.image is None:
            cells[0].text(0.5, 0.5, row.caption, ha="center", va="center", fontsize=8, transform=cells[0].transAxes)
        else:
            _captioned(cells[0], row.image, _short(row.caption, CAPTION))
        for axes, neighbour in zip(cells[2:], row.neighbours):
            label = _short(neighbour.label or "label unknown", CAPTION)
            _captioned(axes, neighbour.image, f"{label}\n{neighbour.distance}")
            if neighbour.framed:
                height, width = neighbour.image.shape[:2]
                frame = pyplot.Rectangle((-0.5, -0.5), width, height, fill=False, color="C2", linewidth=4)
                axes.add_patch(frame)
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def _captioned(axes, image, caption):
    axes.imshow(image)
    axes.text(0.5, -0.04, caption, ha="center", va="top", fontsize=8, transform=axes.transAxes)


def _tiled(images, rows, width):
    """(rows·(h+1)+1, width·(w+1)+1, 3): images in rows with a white line around each."""
    _, height, breadth, _ = images.shape
    sheet = np.ones((rows * (height + 1) + 1, width * (breadth + 1) + 1, 3))
    for number, image in enumerate(images):
        top, left = (number // width) * (height + 1) + 1, (number % width) * (breadth + 1) + 1
        sheet[top : top + height, left : left + breadth] = image
    return sheet


def _short(name, most=28):
    first = name.split(",")[0]
    return first if len(first) <= most else first[: most - 1] + "…"


def headless_pyplot():
    """Matplotlib's pyplot, drawing to files; the backend that a notebook or a program has chosen stays."""
    import matplotlib

    if "matplotlib.pyplot" not in sys.modules:
        matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
