"""The ten views of an image and what a net says of each (Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..drawing import COLOURS, LINE, captioned, class_in_lines, headless_pyplot, in_lines, percent, save
from .predictions import Prediction, draw_guesses, guesses_lines

VIEWED, BESIDE = 20, 28  # beneath a view, and beside the views
PLACES = ("top left", "top right", "bottom left", "bottom right", "centre")


class Viewed(NamedTuple):
    """An image as the net is shown it, and what it says of each view."""

    name: str  # of its file
    label: str | None  # its true class by name, or None where nobody knows it
    views: np.ndarray  # uint8 (10, size, size, 3): four corners and the centre, then the same mirrored
    opinions: Sequence[tuple[str, float]]  # of each view: its first guess and that one's probability
    mean: Sequence[tuple[str, float]]  # of all ten: the best classes, the best first


def draw_views(images: Sequence[Viewed], file: Path) -> None:
    """The ten views of each image with each one's first guess, and the mean of all as bars (Sec. 4.1).

    A view that says another class than the mean of the ten is framed and in orange.
    """
    pyplot = headless_pyplot()
    # Two rows of views, each with its caption and the name of its place above.
    lines = [2 * max(class_in_lines(guess, VIEWED).count("\n") + 4 for guess, _ in one.opinions) for one in images]
    heights = [
        max(3.5 + LINE * of_views, LINE * (guesses_lines(_mean(one), BESIDE) + 4))
        for one, of_views in zip(images, lines)
    ]
    figure = pyplot.figure(figsize=(11.2, sum(heights) + 0.3), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.06, wspace=0.0, hspace=0.06)
    parts = np.atleast_1d(figure.subfigures(len(images), 1, height_ratios=heights))
    for part, image, height in zip(parts, images, heights):
        _draw_viewed(part, image, height)
    key = "orange frame: this view says another class than the mean of the ten views"
    figure.supxlabel(key, fontsize=8.5, color="0.35")
    save(figure, file)


def _mean(image: Viewed) -> Prediction:
    return Prediction(image.views[4], image.label, list(image.mean))


def _draw_viewed(part: Any, image: Viewed, height: float) -> None:
    grid = part.add_gridspec(2, 6, width_ratios=[1, 1, 1, 1, 1, 1.3])
    for number, (view, (guess, probability)) in enumerate(zip(image.views, image.opinions)):
        axes = part.add_subplot(grid[number // 5, number % 5])
        differs = guess != image.mean[0][0]
        caption = f"{class_in_lines(guess, VIEWED)}\n{percent(100 * probability)}"
        style = {"color": COLOURS[1], "fontweight": "bold"} if differs else {}
        captioned(axes, view, caption, COLOURS[1] if differs else None, **style)
        axes.set_title(PLACES[number % 5] + (", mirrored" if number > 4 else ""), fontsize=8, color="0.35", pad=3)
    axes = part.add_subplot(grid[:, 5])
    axes.axis("off")
    what = f"true class: {image.label.split(',')[0]}" if image.label is not None else image.name
    axes.set_title(f"mean of the ten\n{in_lines(what, BESIDE)}", fontsize=10)
    draw_guesses(axes, _mean(image), height / LINE - 4, most=BESIDE)
