"""Fig. 3: the kernels of layer 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..drawing import headless_pyplot, in_lines, save

KERNELS_PER_ROW = 16  # as in Fig. 3
NARROWEST = 4.0  # inches, for a title and a key


def draw_filters(kernels: np.ndarray, columns: int, file: Path) -> None:
    """Fig. 3: the kernels of layer 1, float32 (K, 3, height, width), one column of the net above the other.

    Each kernel has its own scale: grey is 0, and its largest weight is at one end of the colours.
    """
    pyplot = headless_pyplot()
    scale = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    images = (0.5 + 0.5 * kernels / np.where(scale > 0, scale, 1)).transpose(0, 2, 3, 1)
    share = len(kernels) // columns
    rows = -(-share // KERNELS_PER_ROW)
    width = min(share, KERNELS_PER_ROW)
    wide = max(0.55 * width + 0.2, NARROWEST)
    figure, grid = pyplot.subplots(
        columns, 1, figsize=(wide, (0.55 * rows + 0.36) * columns + 0.3), squeeze=False, layout="constrained"
    )
    for column, axes in enumerate(grid[:, 0]):
        axes.imshow(_tiled(images[column * share : (column + 1) * share], rows, width), interpolation="nearest")
        title = f"column {column + 1}: " if columns > 1 else ""
        many = "kernels" if share != 1 else "kernel"
        axes.set_title(f"{title}{share} {many} of {kernels.shape[2]}×{kernels.shape[3]}×3", fontsize=10)
        axes.axis("off")
    key = "Each kernel has a scale of its own: grey is 0, its largest weight the end of a colour."
    figure.supxlabel(in_lines(key, int(13 * wide)), fontsize=8, color="0.35")
    save(figure, file, dpi=150)


def _tiled(images: np.ndarray, rows: int, width: int) -> np.ndarray:
    """(rows·(h+1)+1, width·(w+1)+1, 3): images in rows with a white line around each."""
    _, height, breadth, _ = images.shape
    sheet = np.ones((rows * (height + 1) + 1, width * (breadth + 1) + 1, 3))
    for number, image in enumerate(images):
        top, left = (number // width) * (height + 1) + 1, (number % width) * (breadth + 1) + 1
        sheet[top : top + height, left : left + breadth] = image
    return sheet
