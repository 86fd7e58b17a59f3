"""Which pixels speak for a class: the gradient of its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..drawing import headless_pyplot, save


class Salient(NamedTuple):
    """An image, the class that was followed back, and the gradient of its output in each pixel."""

    view: np.ndarray  # uint8 (size, size, 3)
    name: str  # of the class
    probability: float
    note: str  # "the first guess", say
    gradient: np.ndarray  # float32 (size, size, 3)


def draw_saliency(images: Sequence[Salient], title: str, file: Path) -> None:
    """Each image, the size of the gradient in each pixel, and the image seen through it."""
    pyplot = headless_pyplot()
    figure, grid = pyplot.subplots(
        len(images), 3, figsize=(8.4, 2.95 * len(images) + 0.6), squeeze=False, layout="constrained"
    )
    figure.suptitle(title, fontsize=12)
    for cells, image in zip(grid, images):
        strength = pixel_strength(image.gradient)
        seen = image.view / 255 * (0.2 + 0.8 * _smooth(strength)[..., None])
        for axes, shown in zip(cells, (image.view, None, seen)):
            axes.axis("off")
            if shown is not None:
                axes.imshow(shown)
        cells[1].imshow(strength, cmap="inferno", vmin=0, vmax=1)
        cells[0].set_title(f"{image.name}: {100 * image.probability:.1f} %\n{image.note}", fontsize=10)
        cells[1].set_title("how much each pixel\nchanges this class's output", fontsize=10)
        cells[2].set_title("the image seen through it\n(smoothed)", fontsize=10)
    save(figure, file, dpi=130)


def pixel_strength(gradient: np.ndarray) -> np.ndarray:
    """float32 (size, size), 0 to 1: the largest of a pixel's three gradients in size; 1 is the hundredth strongest."""
    largest = np.abs(gradient).max(axis=2)
    top = np.partition(largest.ravel(), -min(100, largest.size))[-min(100, largest.size)]
    return np.clip(largest / top, 0, 1) if top > 0 else largest


def _smooth(strength: np.ndarray) -> np.ndarray:
    """Blurred over about 7 pixels, and stretched to 0 … 1 again."""
    import cv2

    blurred = cv2.GaussianBlur(strength, (0, 0), 7)
    return blurred / blurred.max() if blurred.max() > 0 else blurred
