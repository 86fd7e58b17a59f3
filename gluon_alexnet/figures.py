"""Pictures of a run. They are drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def draw_curves(epochs: Sequence[dict], file: Path) -> None:
    """Validation errors of each epoch, top-1 and top-5, as a PNG. ``epochs``: those of a run's state."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

    from .backend import gluoncv

    history = gluoncv.utils.TrainingHistory(["top-1 error", "top-5 error"])
    for epoch in epochs:
        history.update([epoch["validation_top1"] / 100, epoch["validation_top5"] / 100])
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.set_xlabel("epoch")
    axes.set_ylabel("error on the validation pictures (centre view)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place + 1:g}"))  # gluoncv counts from 0
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    history.plot(save_path=str(file))
    pyplot.close(figure)
