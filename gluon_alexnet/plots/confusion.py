"""Which classes a net takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..drawing import OTHER, class_in_lines, headless_pyplot, in_lines, percent, save

MOST_CELLS = 20  # classes up to which each pair has its cell; of more, the pairs most often confused are drawn
PAIRS = 25
NAME = 24  # characters of a class's name in a line


def draw_confusion(counts: np.ndarray, names: Sequence[str], title: str, file: Path) -> None:
    """Which class was taken for which: int (C, C), a row for each true class, a column for each first guess.

    Up to 20 classes are a matrix whose shades and numbers are the share of the true class's images; of more, the 25
    pairs most often confused are bars. A class without images is a row of dashes.
    """
    if len(names) <= MOST_CELLS:
        _draw_matrix(counts, names, title, file)
    else:
        _draw_pairs(counts, names, title, file)


def _draw_matrix(counts: np.ndarray, names: Sequence[str], title: str, file: Path) -> None:
    pyplot = headless_pyplot()
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(totals, 1)
    labels = [class_in_lines(name, NAME) for name in names]
    side = (0.52 if len(names) > 3 else 0.9) * len(names) + 2.5
    figure, axes = pyplot.subplots(figsize=(side + 1, side), layout="compressed")
    mesh = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column] or not totals[row, 0]:
            text = "–" if not totals[row, 0] else f"{share:.0f}" if share >= 0.5 else "<1"
            shade = "white" if share > 55 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=shade)
    for ticks, name in ((axes.set_xticks, "x"), (axes.set_yticks, "y")):
        ticks(range(len(names)), labels, fontsize=9, rotation=90 if name == "x" else 0)
        ticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.88", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("first guess of the net")
    axes.set_ylabel("true class")
    bar = figure.colorbar(mesh, ax=axes, shrink=0.7, label="share of the true class's images")
    bar.set_ticks([0, 25, 50, 75, 100], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_title(in_lines(f"{title}. Numbers: per cent of the true class's images.", int(10 * side)), fontsize=10)
    save(figure, file, tight=True)


def _draw_pairs(counts: np.ndarray, names: Sequence[str], title: str, file: Path) -> None:
    pyplot = headless_pyplot()
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = [(int(place // len(names)), int(place % len(names))) for place in order if wrong.flat[place]]
    totals, images = counts.sum(axis=1), [int(wrong[pair]) for pair in pairs]
    figure, axes = pyplot.subplots(figsize=(8, 1.1 + 0.3 * max(len(pairs), 1)), layout="constrained")
    bars = axes.barh(range(len(pairs)), images, 0.7, color=OTHER)
    said = [
        f"{count} of {totals[label]}, {percent(100 * count / totals[label])}"
        for count, (label, _) in zip(images, pairs)
    ]
    axes.bar_label(bars, said, fontsize=9, padding=3)
    shown = [f"{names[label].split(',')[0]} → {names[guess].split(',')[0]}" for label, guess in pairs]
    axes.set_yticks(range(len(pairs)), [in_lines(one, 2 * NAME) for one in shown], fontsize=9)
    axes.set_ylim(max(len(pairs), 1) - 0.5, -0.5)
    axes.set_xlim(0, 1.45 * max(images, default=1))
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    what = f"The {len(pairs)} pairs of {len(names):,} classes most often confused, true class → first guess, in images"
    words = f"{title}. {what}" if pairs else f"{title}: every image was classified correctly"
    figure.suptitle(in_lines(words, 90), fontsize=10)
    save(figure, file)
