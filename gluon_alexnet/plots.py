"""Drawings of nets: kernels (Fig. 3), predictions and similar images (Fig. 4), as PNG, SVG or PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .drawing import COLOURS, OTHER, TRUE, class_in_lines, headless_pyplot, in_lines, percent, save

KERNELS_PER_ROW = 16  # as in Fig. 3
NARROWEST = 4.0  # inches, for a title and a key
CAPTION = 20  # characters that have room in a line beneath one of many images
GUESS = 30  # characters that have room in a line above a bar
HEADING = 22  # and in bold beneath an image
FILE_KEY = "(beneath an image: its file, where its class is not known)"
LINE, BAR = 0.165, 1.5  # inches of a line of text; lines that a bar takes
FRAME = COLOURS[2]


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
    wide = max(0.55 * width + 0.2, NARROWEST)
    figure, grid = pyplot.subplots(
        columns, 1, figsize=(wide, (0.55 * rows + 0.36) * columns + 0.3), squeeze=False, layout="constrained"
    )
    for column, axes in enumerate(grid[:, 0]):
        axes.imshow(_tiled(images[column * share : (column + 1) * share], rows, width), interpolation="nearest")
        title = f"column {column + 1}: " if columns > 1 else ""
        many = "kernels" if share != 1 else "kernel"
        axes.set_title(f"{title}{share} {many} of {kernels.shape[2]}×{kernels.shape[3]}×3", fontsize=10)
        axes.axis("off")
    key = "Each kernel has a scale of its own: grey is 0, its largest weight the end of a colour."
    figure.supxlabel(in_lines(key, int(13 * wide)), fontsize=8, color="0.35")
    save(figure, file, dpi=150)


class Prediction(NamedTuple):
    """One image with its best classes; ``label``: its true class by name, or None where nobody knows it."""

    image: np.ndarray  # uint8 (height, width, 3)
    label: str | None
    guesses: list[tuple[str, float]]  # (class name, probability), the best first
    name: str = ""  # of its file, which stands beneath it where nobody knows its class


def draw_predictions(predictions: Sequence[Prediction], file: Path) -> None:
    """Fig. 4 left: each image, its true class beneath, the best guesses as bars, the true one bold and orange."""
    pyplot = headless_pyplot()
    across = min(4, len(predictions))
    rows = [predictions[begin : begin + across] for begin in range(0, len(predictions), across)]
    high = [
        max(guesses_lines(one, GUESS) for one in row) + max(_heading(one).count("\n") for one in row) + 2
        for row in rows
    ]
    heights = [inches for lines in high for inches in (2.5, LINE * lines)]
    figure, grid = pyplot.subplots(
        2 * len(rows), across, figsize=(2.5 * across, sum(heights) + (0.3 if across > 2 else 1.0)), squeeze=False,
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    for axes in grid.flat:
        axes.axis("off")
    for number, prediction in enumerate(predictions):
        row, column = divmod(number, across)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        above.imshow(prediction.image)
        known, heading = prediction.label is not None, _heading(prediction)
        style = {"fontsize": 11, "fontweight": "bold"} if known else {"fontsize": 9, "color": "0.35"}
        below.text(0.5, 0.2, heading, ha="center", va="top", **style)
        draw_guesses(below, prediction, high[row], 2 + max(_heading(one).count("\n") for one in rows[row]))
    _guesses_key(figure, [one.label is not None for one in predictions], across)
    save(figure, file)


def _heading(prediction: Prediction) -> str:
    """What stands beneath an image: its true class, or its file where nobody knows that."""
    if prediction.label is not None:
        return class_in_lines(prediction.label, HEADING)
    return in_lines(prediction.name or "class not known", GUESS)


def _guesses_key(figure: Any, known: Sequence[bool], across: int) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=OTHER, label="another class" if any(known) else "a class"),
        Patch(color="0.93", label="100 %"),
    ]
    if any(known):
        handles.insert(0, Patch(color=TRUE, label="the true class"))
    if not all(known):
        handles.append(Patch(color="none", label=in_lines(FILE_KEY, 36 if across == 1 else 80)))
    columns = len(handles) if across > 2 else 1
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, fontsize=8, frameon=False, handlelength=1.2)


def guesses_lines(prediction: Prediction, most: int) -> float:
    """How many lines of text high the guesses are, with their bars; most: characters of a line."""
    return sum(class_in_lines(name, most).count("\n") + 1 + BAR for name, _ in prediction.guesses)


def draw_guesses(axes: Any, prediction: Prediction, high: float, top: float = 0, most: int = GUESS) -> None:
    """Each guess in words, with its bar and its number beneath.

    high: of the axes, in lines of text; top: of these, left free above.
    """
    for name, probability in prediction.guesses:
        right = name == prediction.label
        colour, weight = (TRUE, "bold") if right else (OTHER, "normal")
        words = class_in_lines(name, most)
        below = top + words.count("\n") + 1
        axes.text(0, below, words, fontsize=9, fontweight=weight, va="bottom")
        for part, shade in ((1.0, "0.93"), (probability, colour)):
            axes.barh(below + 0.6, 0.75 * part, 0.8, color=shade)
        axes.text(1, below + 0.6, percent(100 * probability), fontsize=9, ha="right", va="center")
        top = below + BAR
    axes.set_xlim(0, 1)
    axes.set_ylim(high, 0)


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


def captioned(axes: Any, image: np.ndarray, caption: str, frame: str | None = None, **style: Any) -> None:
    """An image with words beneath, framed in a colour or not; style: of the words."""
    axes.axis("on")
    axes.imshow(image)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(caption, **{"fontsize": 9, "labelpad": 3, **style})
    for spine in axes.spines.values():
        spine.set(visible=frame is not None, edgecolor=frame, linewidth=3)


def _tiled(images: np.ndarray, rows: int, width: int) -> np.ndarray:
    """(rows·(h+1)+1, width·(w+1)+1, 3): images in rows with a white line around each."""
    _, height, breadth, _ = images.shape
    sheet = np.ones((rows * (height + 1) + 1, width * (breadth + 1) + 1, 3))
    for number, image in enumerate(images):
        top, left = (number // width) * (height + 1) + 1, (number % width) * (breadth + 1) + 1
        sheet[top : top + height, left : left + breadth] = image
    return sheet
