"""Images of the repeated experiments (Fig. 1, Sec. 3.3, the differences). Drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..drawing import COLOURS, headless_pyplot, in_lines, percent_axis, save
from .cifar import ActivationResult, NormalizedResult
from .config import FigureOne, NormalizationTest
from .tables import Ablation
from .trials import Trial

POINTS = 400  # of a curve


def draw_figure_one(results: Mapping[str, ActivationResult], numbers: FigureOne, images: int, file: Path) -> None:
    """Fig. 1: training error over updates as a PNG, ReLU solid, tanh dashed, a line a seed."""
    pyplot = headless_pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, style, label, colour in (("relu", "-", "ReLU", COLOURS[0]), ("tanh", "--", "tanh", COLOURS[1])):
        result = results[name]
        for number, trial in enumerate(result.trials):
            text = f"{label}, rate {result.best_rate:g}" if number == 0 else None
            axes.plot(*_curve(trial, numbers.window), style, color=colour, lw=1, label=text)
    axes.axhline(numbers.target, color="grey", lw=0.8, label=f"{numbers.target:g} %")
    axes.set_xlabel(f"updates with batches of {numbers.descent.batch_size}")
    axes.set_ylabel(f"training error over the last {numbers.window} updates")
    percent_axis(axes.yaxis)
    axes.set_title(f"Fig. 1 on {images:,} training images of CIFAR-10, a line for each seed", fontsize=10)
    _finish(figure, axes, file)


def draw_normalization_test(
    results: Mapping[str, NormalizedResult], numbers: NormalizationTest, images: int, file: Path
) -> None:
    """Training error over epochs, and at the end the test errors, without and with normalisation, as a PNG."""
    pyplot = headless_pyplot()
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    each = -(-images // numbers.descent.batch_size)
    for name, style, colour in (("without", "--", COLOURS[1]), ("with", "-", COLOURS[0])):
        result = results[name]
        for number, trial in enumerate(result.trials):
            text = f"{name} LRN, training" if number == 0 else None
            steps, errors = _curve(trial, max(1, min(each, trial.step // 10)))
            axes.plot([step / each for step in steps], errors, style, color=colour, lw=1, label=text)
        tested = [scores[0].top1 for scores in result.scores if scores]
        face = "none" if name == "without" else colour  # rings and dots, where they lie on each other
        axes.plot(
            [numbers.epochs] * len(tested),
            tested,
            "o",
            color=colour,
            ms=6,
            mfc=face,
            label=f"{name} LRN, test",
            clip_on=False,
        )
    axes.set_xlabel("epochs")
    axes.set_ylabel("error")
    percent_axis(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"Sec. 3.3 on {images:,} training images of CIFAR-10, a line and a dot for each seed", fontsize=10)
    _finish(figure, axes, file)


def draw_ablations(results: Sequence[Ablation], data: str, file: Path) -> None:
    """Top-1 and top-5 error of each net over ten views as bars, in a PNG; a dashed line for the full net's top-1."""
    pyplot = headless_pyplot()
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.5 * len(results)), layout="constrained")
    for offset, label, colour, errors in (
        (-0.2, "top-1", COLOURS[0], [result.top1[10] for result in results]),
        (0.2, "top-5", COLOURS[4], [result.top5[10] for result in results]),
    ):
        bars = axes.barh([place + offset for place in range(len(results))], errors, 0.4, label=label, color=colour)
        axes.bar_label(bars, fmt="%.2f %%", fontsize=8, padding=2)
    axes.axvline(results[0].top1[10], color="grey", lw=0.8, ls="--", label="top-1 of the full net")
    axes.set_yticks(range(len(results)), [result.name for result in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(result.top1[10] for result in results) + 1)
    axes.set_xlabel("error over ten views")
    axes.set_title(in_lines(f"Each net on the validation images of {data}", 80), fontsize=10)
    percent_axis(axes.xaxis)
    _finish(figure, axes, file)


def _curve(trial: Trial, window: int) -> Any:
    """(updates, training errors) at evenly spaced places, from the first full window to the last update."""
    places = sorted({window + (trial.step - window) * point // POINTS for point in range(POINTS + 1)})
    places = [place for place in places if 0 < place <= trial.step]
    return places, [trial.error(window, place) for place in places]


def _finish(figure: Any, axes: Any, file: Path) -> None:
    axes.set_xlim(left=0)
    if not axes.yaxis_inverted():
        axes.set_ylim(bottom=0)
    axes.set_axisbelow(True)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)  # on no line
    save(figure, file)
