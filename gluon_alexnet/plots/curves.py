"""Learning curves: validation errors and training loss of one or more runs over each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..drawing import COLOURS, headless_pyplot, in_lines, percent, percent_axis, save

MINOR_TICKS = 150  # epochs up to which each has its tick
LINE_STYLES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (3, 1.5, 1, 1.5)))  # of runs beyond the seven colours
LEGEND = 100  # characters that have room in a line of the legend
RATES_SHOWN = 8  # changes of the rate that are named; more would lie on each other
LABEL = 0.07  # of the axis, the room that a named rate takes


def draw_curves(runs: Mapping[str, Sequence[dict]], file: Path) -> None:
    """Errors on the validation images and training loss of each epoch: run's name → epochs of its state, at least one.

    Solid lines are top-1, thin ones top-5; a ring marks the best epoch, dotted lines where the learning rate changed.
    The legend lies beneath, on no line.
    """
    pyplot = headless_pyplot()
    losses = all("training_loss" in epoch for epochs in runs.values() for epoch in epochs)
    panels = 2 if losses else 1
    # A line of the legend takes about a sixth of an inch.
    rows = sum(1 + in_lines(_said(name, epochs), LEGEND).count("\n") for name, epochs in runs.items())
    figure, grid = pyplot.subplots(
        panels, 1, figsize=(8, 3.5 + 1.7 * (panels - 1) + 0.17 * rows), sharex=True, squeeze=False,
        height_ratios=[2, 1][:panels], layout="constrained",
    )  # fmt: skip
    errors = grid[0, 0]
    for number, epochs in enumerate(runs.values()):
        _draw_run(grid[:, 0], number, epochs, losses)
    _mark_rates(grid[:, 0], runs)
    last = max(len(epochs) for epochs in runs.values())
    _epoch_axis(grid[-1, 0].xaxis, last)
    grid[-1, 0].set_xlabel("epoch")
    grid[-1, 0].set_xlim(0.5 if last == 1 else 1, last + (0.5 if last == 1 else 0))
    errors.set_ylabel("validation error")
    percent_axis(errors.yaxis)
    if losses:
        grid[1, 0].set_ylabel("training loss")
    for axes in grid[:, 0]:
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    errors.set_ylim(0, min(100, 1.08 * errors.get_ylim()[1]))
    what = "validation error (centre view)" + (" and training loss" if losses else "")
    title = f"{next(iter(runs))}: {what}" if len(runs) == 1 else what.capitalize()
    errors.set_title(in_lines(title, 80), fontsize=11, pad=26)
    legend = figure.legend(
        handles=_legend(runs), loc="outside lower left", fontsize=9, frameon=False, handlelength=2.4, borderpad=0
    )
    legend.set_in_layout(True)
    save(figure, file)


def _draw_run(panels: Sequence[Any], number: int, epochs: Sequence[dict], losses: bool) -> None:
    """The lines of one run, with its best epoch."""
    colour, style = COLOURS[number % len(COLOURS)], LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)]
    places = range(1, len(epochs) + 1)
    dot = "o" if len(epochs) == 1 else None
    top1 = [epoch["validation_top1"] for epoch in epochs]
    panels[0].plot(places, top1, linestyle=style, color=colour, linewidth=2, marker=dot)
    top5 = [epoch["validation_top5"] for epoch in epochs]
    panels[0].plot(places, top5, linestyle=style, color=colour, linewidth=0.9, marker=dot, markersize=4)
    best = _best(epochs)
    panels[0].plot(
        [best + 1], [top1[best]], "o", color=colour, markersize=9, markerfacecolor="none", markeredgewidth=1.6,
        clip_on=False, zorder=4,
    )  # fmt: skip
    if losses:
        loss = [epoch["training_loss"] for epoch in epochs]
        panels[1].plot(places, loss, linestyle=style, color=colour, linewidth=1.5, marker=dot)


def _best(epochs: Sequence[dict]) -> int:
    """Place of the first epoch with the smallest top-1 error: the one that RUN/best holds."""
    errors = [epoch["validation_top1"] for epoch in epochs]
    return errors.index(min(errors))


def _said(name: str, epochs: Sequence[dict]) -> str:
    """A run in numbers, for the legend."""
    best, last = epochs[_best(epochs)], epochs[-1]
    return (
        f"{name}: top-1 {percent(last['validation_top1'])}, top-5 {percent(last['validation_top5'])} after epoch "
        f"{len(epochs)}; best {percent(best['validation_top1'])} after epoch {_best(epochs) + 1}"
    )


def _mark_rates(panels: Sequence[Any], runs: Mapping[str, Sequence[dict]]) -> None:
    """Dotted lines where a run's learning rate became another one, with the new rate above."""
    changes: dict[tuple[int, float], list[int]] = {}
    for number, epochs in enumerate(runs.values()):
        rates = [epoch.get("learning_rate") for epoch in epochs]
        for place, (before, after) in enumerate(itertools.pairwise(rates), 1):
            if after is not None and after != before:
                changes.setdefault((place, after), []).append(number)
    rows = [-LABEL] * 2  # where the last name in each row stands
    for (place, rate), whose in sorted(changes.items()):
        shared = len(whose) > 1 or len(runs) == 1
        colour = "0.35" if shared else COLOURS[whose[0] % len(COLOURS)]
        for axes in panels:
            axes.axvline(place, color=colour, linestyle=":", linewidth=1.2)
        if len(changes) <= RATES_SHOWN:
            along = place / max(len(epochs) for epochs in runs.values())
            row = 0 if along - rows[0] >= LABEL else 1
            rows[row] = along
            panels[0].annotate(
                f"{rate:g}", (place, 1), xycoords=("data", "axes fraction"), xytext=(0, 2 + 10 * row),
                textcoords="offset points", fontsize=8, color=colour, ha="center", va="bottom",
            )  # fmt: skip


def _legend(runs: Mapping[str, Sequence[dict]]) -> list[Any]:
    """A line for each run, and the key of what all have."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], color=COLOURS[number % len(COLOURS)], linewidth=2,
            linestyle=LINE_STYLES[number // len(COLOURS) % len(LINE_STYLES)],
            label=in_lines(_said(name, epochs), LEGEND),
        )
        for number, (name, epochs) in enumerate(runs.items())
    ]  # fmt: skip
    ring = Line2D([], [], color="0.35", marker="o", markerfacecolor="none", linestyle="none", markersize=8)
    ring.set_label("thick: top-1, thin: top-5; ring: the best epoch; dotted: the learning rate became the number above")
    return [*handles, ring]


def _epoch_axis(axis: Any, last: int) -> None:
    """A tick for each epoch, and numbers at the first and at round ones."""
    from matplotlib.ticker import FixedLocator

    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if last <= 16 * step or step == 1000)
    numbered = [1, *(epoch for epoch in range(step, last + 1, step) if epoch > 1 and (step == 1 or epoch > step / 2))]
    axis.set_major_locator(FixedLocator(numbered))
    if last <= MINOR_TICKS:
        axis.set_minor_locator(FixedLocator(range(1, last + 1)))
