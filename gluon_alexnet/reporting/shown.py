"""What a report shows: kernels, images that were taken for something else, and ten views of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data.augmentation import crop_views
from ..errors import InvalidRequest
from ..model import build
from . import document as page
from .judged import Judged
from .run import ReportedRun

PAIRS = 6  # of classes most often taken for each other
IMAGES_PER_PAIR = 5
KERNELS_ACROSS = 16  # as in Fig. 3
MAGNIFIED = 4  # kernels' pixels, so that no browser smooths them on paper


def confused(run: ReportedRun, counted: Judged, reader: Any) -> page.Raw:
    """The pairs of classes most often taken for each other, with images. reader: of the split that was judged."""
    counter = counted.errors[counted.views[0]]
    totals, rows = counter.class_scores(), []
    for label, guess, count in counter.most_confused(PAIRS):
        said = f"{run.name(label)} taken for {run.name(guess)}: {count} of {totals[label].images} images"
        rows.append((said, [reader.read(number)[0] for number in counted.taken_for(label, guess, IMAGES_PER_PAIR)]))
    if not rows:
        return page.section("What it takes for something else", "Nothing: every image was classified correctly.")
    return page.section(
        "What it takes for something else", "The classes most often taken for each other.", page.pairs(rows)
    )


def kernels(run: ReportedRun) -> page.Raw:
    """Fig. 3."""
    parameters = {name: parameter.data() for name, parameter in run.classifier.collect_params().items()}
    try:
        weights = build.first_kernels(run.recipe.network, parameters)
    except InvalidRequest as reason:
        return page.section("What layer 1 looks for", str(reason))
    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    tiles = np.round(127.5 + 127.5 * weights / np.where(scale > 0, scale, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    columns = getattr(run.recipe.network, "columns", 1)
    share, figures = len(tiles) // columns, []
    for column in range(columns):
        name = f"Column {column + 1}: " if columns > 1 else ""
        caption = f"{name}{share} kernels of {weights.shape[2]}×{weights.shape[3]}×3"
        sheet = page.image(_sheet(tiles[column * share : (column + 1) * share]), caption, exact=True)
        figures.append(page.figure(sheet, caption, "kernels"))
    return page.section("What layer 1 looks for", "As in Fig. 3, each kernel with its own scale; grey is 0.", *figures)


def _sheet(tiles: np.ndarray) -> np.ndarray:
    count, height, width, _ = tiles.shape
    across = min(KERNELS_ACROSS, count)
    down = -(-count // across)
    sheet = np.zeros((down * (height + 1) - 1, across * (width + 1) - 1, 4), np.uint8)  # between them is the page
    for number, tile in enumerate(tiles):
        top, left = number // across * (height + 1), number % across * (width + 1)
        sheet[top : top + height, left : left + width] = np.dstack([tile, np.full((height, width), 255, np.uint8)])
    return np.kron(sheet, np.ones((MAGNIFIED, MAGNIFIED, 1), np.uint8))


def ten_views(run: ReportedRun, counted: Judged, reader: Any, classify: Callable[[np.ndarray], np.ndarray]) -> page.Raw:
    """Some images as the net is shown them, with each opinion. classify: uint8 (M, size, size, 3) → (M, classes)."""
    parts: list[Any] = [
        "Four corners and the centre, then the same five mirrored (Sec. 4.1). A frame marks each view whose first "
        "guess is not that of the ten together."
    ]
    size = run.recipe.network.input_size
    for why, number in counted.telling():
        image, label = reader.read(number)
        views = crop_views(image[None], size, 10)[0]
        outputs = classify(views)
        best = int(outputs.mean(axis=0).argmax())
        entries = [
            (view, run.name(int(row.argmax())), f"{100 * row.max():.1f} %", int(row.argmax()) != best)
            for view, row in zip(views, outputs)
        ]
        taken = "named so" if label == best else f"taken for {run.name(best)}"
        said = f"{why}: {run.name(label)}, {taken} with {100 * outputs.mean(axis=0)[best]:.1f} %"
        parts += [page.heading(said), page.views(entries)]
    return page.section("Ten views of some images", *parts)
