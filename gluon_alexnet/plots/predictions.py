"""Fig. 4 left: images with a net's best guesses as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..drawing import LINE, OTHER, TRUE, class_in_lines, headless_pyplot, in_lines, percent, save

GUESS = 30  # characters that have room in a line above a bar
HEADING = 22  # and in bold beneath an image
FILE_KEY = "(beneath an image: its file, where its class is not known)"
BAR = 1.5  # lines that a bar takes


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
