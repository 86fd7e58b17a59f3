"""What the repeated experiments print: measured beside the paper's (NIPS 2012, Fig. 1, Sec. 3.3; the differences)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..recipes.published import DIFFERENCES
from .cifar import ActivationResult, NormalizedResult
from .config import FigureOne, NormalizationTest

NEURONS = {"relu": "ReLU", "tanh": "tanh"}


def figure_one(results: Mapping[str, ActivationResult], numbers: FigureOne, images: int) -> str:
    """The table of Fig. 1: by "relu" and "tanh"."""
    lines = [
        f"Fig. 1: updates to {numbers.target:g} % training error on {images} training images of CIFAR-10, "
        f"batch {numbers.descent.batch_size}, momentum {numbers.descent.momentum:g}, no regularisation",
        f"training error: mean over the last {numbers.window} updates, each batch before its update",
        f"limit: {numbers.epochs} epochs; a rate is given up once slower than the best so far, or behind it half-way",
        "",
    ]
    rows = [("", "updates at each rate, seed 0", "best rate", "updates of each seed", "mean", "deviation")]
    for name, result in results.items():
        known = [count for count in result.updates if count is not None]
        rows.append(
            (
                NEURONS[name],
                ", ".join(
                    f"{rate:g}: {'given up' if count is None else count}" for rate, count in result.tried.items()
                ),
                "none" if result.best_rate is None else f"{result.best_rate:g}",
                ", ".join("not reached" if count is None else str(count) for count in result.updates),
                f"{statistics.mean(known):.0f}" if known else "",
                f"{statistics.stdev(known):.0f}" if len(known) > 1 else "",
            )
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines += ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.append("")
    fast, slow = ([count for count in results[name].updates if count is not None] for name in ("relu", "tanh"))
    if fast and len(fast) == len(results["relu"].updates) and len(fast) == len(slow) == len(results["tanh"].updates):
        ratio = statistics.mean(slow) / statistics.mean(fast)
        each_seed = [late / early for early, late in zip(fast, slow)]
        lines.append(
            f"ReLU is {ratio:.2f} times sooner there than tanh ({min(each_seed):.2f} to {max(each_seed):.2f} by seed); "
            f"the paper: about {numbers.faster:g} times, on all of CIFAR-10"
        )
    else:
        lines.append("No ratio: not every training reached the target; allow more epochs, or try other rates.")
    seconds = sum(trial.seconds for result in results.values() for trial in result.trials)
    lines.append(f"{seconds / 60:.0f} minutes of training at the best rates, all seeds")
    return "\n".join(lines)


def normalization_test(results: Mapping[str, NormalizedResult], numbers: NormalizationTest, images: int) -> str:
    """The table of Sec. 3.3: by "without" and "with" normalisation."""
    drops = " and ".join(f"{100 * share:g} %" for share in numbers.descent.drops)
    lines = [
        f"Sec. 3.3: test error of the net with two locally connected layers, {images} training images of CIFAR-10, "
        "24×24 crops, mirrored",
        f"{numbers.epochs} epochs, batch {numbers.descent.batch_size}, rate {numbers.descent.rate:g}, a tenth of it "
        f"after {drops} of the updates each",
        "",
    ]
    published = {"without": numbers.without, "with": numbers.with_normalization}
    views = [score.views for score in next((scores for r in results.values() for scores in r.scores if scores), [])]
    head = f"{'test error, %':<14} {'view':<12}"
    lines.append(f"{head} {'of each seed':<28} {'mean':>6} {'deviation':>10}  paper")
    for name, result in results.items():
        for index, count in enumerate(views):
            errors = [scores[index].top1 for scores in result.scores if scores]
            each = ", ".join(f"{scores[index].top1:.2f}" if scores else "diverged" for scores in result.scores)
            view = f"{count} views" if count > 1 else "centre view"
            mean = f"{statistics.mean(errors):6.2f} {_deviation(errors):>10}" if errors else f"{'':>17}"
            lines.append(f"{name + ' LRN':<14} {view:<12} {each:<28} {mean}  {published[name]:g}")
    lines.append("")
    for index, count in enumerate(views):
        pairs = [
            a[index].top1 - b[index].top1 for a, b in zip(results["without"].scores, results["with"].scores) if a and b
        ]
        view = f"{count} views" if count > 1 else "centre view"
        if pairs:
            lines.append(
                f"LRN takes away {statistics.mean(pairs):.2f} points ({view}; by seed "
                f"{', '.join(f'{pair:.2f}' for pair in pairs)}; deviation {_deviation(pairs)}); "
                f"the paper: {numbers.without - numbers.with_normalization:g}"
            )
    seconds = sum(trial.seconds for result in results.values() for trial in result.trials)
    counted = next((scores[0].images for r in results.values() for scores in r.scores if scores), 0)
    lines.append(f"each of {counted} test images counted once; {seconds / 60:.0f} minutes of training")
    return "\n".join(lines)


@dataclass(frozen=True)
class Ablation:
    """Validation errors of one trained variant, per cent, by number of views; ``name`` is "full" for the whole net."""

    name: str
    top1: dict[int, float]
    top5: dict[int, float]
    epochs: int


def ablations(results: Sequence[Ablation], images: int, data: str) -> str:
    """Errors of each variant and differences from the full net, which is the first, beside the paper's."""
    width = max(len(result.name) for result in results)
    full = results[0]
    lines = [
        f"errors in % on {images} validation images of {data}, top-1 / top-5; the paper's differences are those on "
        "ImageNet",
        f"{'net':<{width}} {'epochs':>6}  {'10 views':>15}  {'centre view':>15}  {'difference, 10 views':>20}  paper",
    ]
    for result in results:
        errors = [f"{result.top1[views]:.2f} / {result.top5[views]:.2f}" for views in (10, 1)]
        difference = ""
        if result is not full:
            difference = f"{result.top1[10] - full.top1[10]:+.2f} / {result.top5[10] - full.top5[10]:+.2f}"
        paper = DIFFERENCES.get(result.name, "" if result is full else "no number")
        lines.append(
            f"{result.name:<{width}} {result.epochs:>6}  {errors[0]:>15}  {errors[1]:>15}  {difference:>20}  {paper}"
        )
    return "\n".join(lines)


def _deviation(values: Sequence[float]) -> str:
    return f"{statistics.stdev(values):.2f}" if len(values) > 1 else "–"
