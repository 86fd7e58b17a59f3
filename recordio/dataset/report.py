"""What a data set's statistics say, in lines and in one image: mean, axes, classes, source sizes (Sec. 2, 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.drawing import COLOURS, check_format, headless_pyplot, in_lines, save

from .manifest import SIZE, Manifest, Split
from .statistics import SIZE_EDGES, Statistics

_DEVIATIONS = 3  # colour ramps reach from -3 to +3 standard deviations
_VISIBLE = 0.5  # grey levels: a standard deviation below this is no colour that could be seen
_NUMBERED = 12  # classes up to which each has its bar and its name
_SIDES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)  # with a number on the axes
_SCALED_UP = SIZE_EDGES.index(SIZE)  # first bin of sides that need not be scaled up


def lines(manifest: Manifest, statistics: Statistics) -> list[str]:
    """The numbers, one sentence or row a line; unit: grey levels 0-255, channels RGB."""
    mean = statistics.mean_image.mean(axis=(0, 1))
    deviations = np.sqrt(statistics.eigenvalues)
    told = [
        f"{split.name:<6} {split.images} images, {_classes(manifest, split)}; {split.rejected} rejected"
        for split in manifest.splits
    ]
    told += [
        f"records: {SIZE}x{SIZE}, {_encoding(manifest)}; the numbers below are of train's {statistics.images} images",
        f"mean of R, G, B: {_numbers(mean)}",
        f"standard deviation of R, G, B: {_numbers(np.sqrt(np.diag(statistics.covariance)))}",
        f"standard deviation along the axes: {_numbers(deviations)}",
    ]
    told += [
        f"axis {number + 1} (R, G, B): {_numbers(axis, 4)}, eigenvalue {value:.2f}"
        for number, (axis, value) in enumerate(zip(statistics.axes.T, statistics.eigenvalues))
    ]
    return [*told, _sizes(statistics)]


def draw(manifest: Manifest, statistics: Statistics, file: Path) -> None:
    """The same as one drawing: mean image, the axes as colour ramps, images per class, sizes of the sources.

    Raises InvalidRequest where the file's ending names no format of a drawing.
    """
    check_format(file)
    figure, places = headless_pyplot().subplots(2, 2, figsize=(11, 9), layout="constrained")
    _draw_mean(places[0, 0], statistics)
    _draw_axes(places[0, 1], statistics)
    _draw_classes(places[1, 0], manifest)
    _draw_sizes(figure, places[1, 1], statistics)
    save(figure, file, dpi=110)


def _draw_mean(place: Any, statistics: Statistics) -> None:
    place.imshow(np.rint(statistics.mean_image).astype(np.uint8))
    mean = _numbers(statistics.mean_image.mean(axis=(0, 1)))
    place.set_title(f"Mean of {statistics.images:,} training images\nR, G, B: {mean}")
    place.set_axis_off()


def _draw_axes(place: Any, statistics: Statistics) -> None:
    """Ramps through the mean colour, of the axes along which colours differ; what leaves 0-255 is clipped."""
    mean = statistics.mean_image.mean(axis=(0, 1))
    deviations = np.sqrt(statistics.eigenvalues)
    shown = [number for number, deviation in enumerate(deviations) if deviation >= _VISIBLE] or [0]
    steps = np.linspace(-_DEVIATIONS, _DEVIATIONS, 241)
    ramps = mean + steps[None, :, None] * (statistics.axes * deviations).T[shown][:, None, :]
    place.imshow(
        np.clip(ramps, 0, 255).astype(np.uint8),
        aspect="auto",
        extent=(-_DEVIATIONS, _DEVIATIONS, len(shown) + 0.5, 0.5),
        interpolation="nearest",
    )
    for border in range(1, len(shown)):
        place.axhline(border + 0.5, color="white", linewidth=8)
    labels = [f"axis {number + 1}\n{deviations[number]:.1f}" for number in shown]
    place.set_yticks(range(1, len(shown) + 1), labels)
    place.set_xlabel("standard deviations from the mean colour")
    flat = [str(number + 1) for number in range(3) if number not in shown]
    grey = f"\n(along {' and '.join(flat)} nothing differs)" if flat else ""
    place.set_title(f"Axes of the RGB covariance\nwith the standard deviation along them, grey levels{grey}")


def _draw_classes(place: Any, manifest: Manifest) -> None:
    """Bars with their numbers of few classes, steps of many; the largest class first."""
    from matplotlib.ticker import MaxNLocator

    splits = [split for split in manifest.splits if sum(split.class_counts)]
    classes = len(manifest.classes)
    numbered = classes <= _NUMBERED
    order = np.argsort(-np.array(splits[0].class_counts if splits else []), kind="stable")
    width = 0.8 / max(len(splits), 1)
    for place_of, (split, colour) in enumerate(zip(splits, (COLOURS[0], COLOURS[4], COLOURS[2]))):
        label = f"{split.name}, {sum(split.class_counts):,} images"
        if numbered:
            counts = [split.class_counts[label] for label in order]
            across = np.arange(classes) - 0.4 + (place_of + 0.5) * width
            bars = place.bar(across, counts, width, color=colour, label=label)
            place.bar_label(bars, [f"{count:,}" for count in counts], fontsize=6.5, rotation=90, padding=2)
        else:
            counts = sorted(split.class_counts, reverse=True)
            line = (5, 3, 1)[place_of]  # so that equal counts do not hide each other
            place.stairs(counts, np.arange(classes + 1), color=colour, label=label, linewidth=line, baseline=None)
    most = max((max(split.class_counts) for split in splits), default=1)
    place.set_ylim(0, 1.15 * most)
    place.yaxis.set_major_locator(MaxNLocator(integer=True))
    if numbered:
        names = [manifest.classes[label].name.split(",")[0] for label in order]
        place.set_xticks(range(classes), [in_lines(name, 22) for name in names], rotation=90, fontsize=8)
    else:
        place.xaxis.set_major_locator(MaxNLocator(integer=True))
        place.set_xlim(0, classes)
        place.set_xlabel("classes, the largest first")
    place.set_ylabel("images")
    place.set_title("Images per class")
    place.set_axisbelow(True)
    place.grid(alpha=0.3, axis="y" if numbered else "both")
    if splits:
        place.legend(loc="upper center", bbox_to_anchor=(0.5, 1), ncols=len(splits), fontsize="small", frameon=False)
        place.set_ylim(0, 1.3 * most)


def _draw_sizes(figure: Any, place: Any, statistics: Statistics) -> None:
    """How many sources have which width and height; in words where all are of one size, for a box says nothing."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    counts = statistics.source_sizes
    title = "Sizes of the source images"
    if np.count_nonzero(counts) <= 1:
        place.set_axis_off()
        place.text(0.5, 0.5, _one_size(counts), ha="center", va="center", fontsize=11, transform=place.transAxes)
        place.set_title(title)
        return
    shown = np.ma.masked_equal(counts, 0)
    mesh = place.pcolormesh(SIZE_EDGES, SIZE_EDGES, shown, norm=LogNorm(1, max(2, counts.max())), cmap="viridis")
    bar = figure.colorbar(mesh, ax=place, label="images")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if counts.max() < 100:
        bar.ax.yaxis.set_minor_formatter(
            FuncFormatter(lambda value, _: f"{value:.0f}" if value in (2, 5, 20, 50) else "")
        )
    for line in (place.axhline, place.axvline):
        line(SIZE, color=COLOURS[1], linewidth=1)
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    limits = (SIZE_EDGES[max(used[0] - 1, 0)], SIZE_EDGES[min(used[-1] + 2, len(SIZE_EDGES) - 1)])
    ticks = [side for side in _SIDES if limits[0] <= side <= limits[1]]
    if len(ticks) < 2:
        ticks = [
            int(side) for side in MaxNLocator(4, integer=True).tick_values(*limits) if limits[0] <= side <= limits[1]
        ]
    for name in ("x", "y"):
        getattr(place, f"set_{name}scale")("log", base=2)
        getattr(place, f"set_{name}lim")(*limits)
        getattr(place, f"set_{name}ticks")(ticks, [str(side) for side in ticks])
    place.set_aspect("equal")
    place.set_xlabel("width, pixels")
    place.set_ylabel("height, pixels")
    line = (
        f"\n(left of or below an orange line, {SIZE} pixels, they were scaled up)"
        if limits[0] < SIZE < limits[1]
        else ""
    )
    place.set_title(f"{title}{line}")


def _one_size(counts: np.ndarray) -> str:
    """The one bin that all sources lie in, in words."""
    if not counts.any():
        return "No sizes were recorded."
    row, column = (int(place[0]) for place in np.nonzero(counts))
    height, width = ((SIZE_EDGES[k], SIZE_EDGES[k + 1] - 1) for k in (row, column))
    sides = " × ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in (width, height))
    return f"All {int(counts.sum()):,} are {sides} pixels\n(width × height)."


def _classes(manifest: Manifest, split: Split) -> str:
    counts = [count for count in split.class_counts if count]
    if not counts:
        return "no labels"
    return f"{len(counts)} of {len(manifest.classes)} classes, {min(counts)} to {max(counts)} a class"


def _encoding(manifest: Manifest) -> str:
    return f"JPEG of quality {manifest.jpeg_quality}" if manifest.encoding == "jpeg" else "raw RGB"


def _sizes(statistics: Statistics) -> str:
    """Where the shorter sides lie, as well as the bins tell."""
    counts = statistics.source_sizes
    row, column = np.indices(counts.shape)
    shorter = np.bincount(np.minimum(row, column).ravel(), counts.ravel(), len(SIZE_EDGES) - 1)
    middle = int(np.searchsorted(np.cumsum(shorter), counts.sum() / 2))
    small = int(shorter[:_SCALED_UP].sum())
    return (
        f"source images: half have a shorter side below {SIZE_EDGES[middle + 1]} pixels; "
        f"{small} ({100 * small / counts.sum():.1f} %) were scaled up to {SIZE}"
    )


def _numbers(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
