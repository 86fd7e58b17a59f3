"""What a data set's statistics say, in lines and in one image: mean, axes, classes, source sizes (Sec. 2, 4.1)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.atomic_files import written

from .manifest import SIZE, Manifest, Split
from .statistics import SIZE_EDGES, Statistics

_DEVIATIONS = 3  # colour ramps reach from -3 to +3 standard deviations
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
    """The same as one PNG: mean image, the three axes as colour ramps, images per class, sizes of the sources."""
    import matplotlib

    if "matplotlib.pyplot" not in sys.modules:  # a notebook or a program has chosen a backend, which stays
        matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, places = pyplot.subplots(2, 2, figsize=(11, 9), layout="constrained")
    _draw_mean(places[0, 0], statistics)
    _draw_axes(places[0, 1], statistics)
    _draw_classes(places[1, 0], manifest)
    _draw_sizes(figure, places[1, 1], statistics)
    try:
        with written(file) as draft:
            figure.savefig(draft, dpi=110, format="png")
    finally:
        pyplot.close(figure)


def _draw_mean(place: Any, statistics: Statistics) -> None:
    place.imshow(np.rint(statistics.mean_image).astype(np.uint8))
    mean = _numbers(statistics.mean_image.mean(axis=(0, 1)))
    place.set_title(f"mean of {statistics.images} training images\nR, G, B: {mean}")
    place.set_axis_off()


def _draw_axes(place: Any, statistics: Statistics) -> None:
    """Three ramps through the mean colour; what leaves 0-255 is clipped."""
    mean = statistics.mean_image.mean(axis=(0, 1))
    deviations = np.sqrt(statistics.eigenvalues)
    steps = np.linspace(-_DEVIATIONS, _DEVIATIONS, 241)
    ramps = mean + steps[None, :, None] * (statistics.axes * deviations).T[:, None, :]
    place.imshow(
        np.clip(ramps, 0, 255).astype(np.uint8),
        aspect="auto",
        extent=(-_DEVIATIONS, _DEVIATIONS, 3.5, 0.5),
        interpolation="nearest",
    )
    for border in (1.5, 2.5):
        place.axhline(border, color="white", linewidth=8)
    place.set_yticks([1, 2, 3], [f"axis {number + 1}\n{value:.1f}" for number, value in enumerate(deviations)])
    place.set_xlabel("standard deviations from the mean colour")
    place.set_title("axes of the RGB covariance\nwith the standard deviation along them, grey levels")


def _draw_classes(place: Any, manifest: Manifest) -> None:
    from matplotlib.ticker import MaxNLocator

    for split, width in zip(manifest.splits, (5, 3, 1)):  # so that equal counts do not hide each other
        if sum(split.class_counts):
            counts = sorted(split.class_counts, reverse=True)
            place.stairs(counts, np.arange(len(counts) + 1), label=f"{split.name}, {sum(counts)}", linewidth=width)
    place.set_ylim(bottom=0)
    for axis in (place.xaxis, place.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    place.set_xlim(0, len(manifest.classes))
    place.set_xlabel("classes, the largest first")
    place.set_ylabel("images")
    place.set_title("images per class")
    place.legend()
    place.grid(alpha=0.3)


def _draw_sizes(figure: Any, place: Any, statistics: Statistics) -> None:
    from matplotlib.colors import LogNorm

    counts = statistics.source_sizes
    shown = np.ma.masked_equal(counts, 0)
    mesh = place.pcolormesh(SIZE_EDGES, SIZE_EDGES, shown, norm=LogNorm(1, max(2, counts.max())), cmap="viridis")
    figure.colorbar(mesh, ax=place, label="images")
    for line in (place.axhline, place.axvline):
        line(SIZE, color="tab:red", linewidth=1)
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    limits = (SIZE_EDGES[max(used[0] - 4, 0)], SIZE_EDGES[min(used[-1] + 5, len(SIZE_EDGES) - 1)])
    ticks = [side for side in (16, 32, 64, 128, 256, 512, 1024, 2048, 4096) if limits[0] <= side <= limits[1]]
    for name in ("x", "y"):
        getattr(place, f"set_{name}scale")("log", base=2)
        getattr(place, f"set_{name}lim")(*limits)
        getattr(place, f"set_{name}ticks")(ticks, [str(side) for side in ticks])
    place.set_aspect("equal")
    place.set_xlabel("width, pixels")
    place.set_ylabel("height, pixels")
    place.set_title("sizes of the source images\n(left of or below a red line they were scaled up)")


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
        f"{small} ({small / counts.sum():.1%}) were scaled up to {SIZE}"
    )


def _numbers(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)
