"""Loops of a training step on a CPU, compiled by Numba; importing this fails with ImportError where Numba is missing.

They hold no lock of Python's. An inner loop runs over slices of one length and takes its index as it is: with another
index, or a loop over the window inside, LLVM does not vectorise it and it takes four times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_BLOCK = 256  # places of a map worked on together: all maps of a block stay in the second-level cache


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep compiled code in: it is compiled anew each time
        return numba.njit(**options)(function)


@_compiled
def _squares(x: np.ndarray, first: int, end: int, squares: np.ndarray) -> None:
    for i in range(len(x)):
        row, square = x[i][first:end], squares[i + 2]
        for j in range(len(row)):
            square[j] = row[j] * row[j]


@_compiled
def normalize(x: np.ndarray, result: np.ndarray, k: float, alpha: float) -> None:
    """Response normalisation x / (k + alpha * sum of x^2 over 5 maps)^0.75; float32 (images, maps, places)."""
    images, maps, places = x.shape
    squares = np.zeros((maps + 4, _BLOCK), np.float32)  # two maps of zeros on either side
    for image in range(images):
        for first in range(0, places, _BLOCK):
            end = min(first + _BLOCK, places)
            _squares(x[image], first, end, squares)
            for i in range(maps):
                row, out = x[image, i][first:end], result[image, i][first:end]
                a, b, c = squares[i][: len(row)], squares[i + 1][: len(row)], squares[i + 2][: len(row)]
                d, e = squares[i + 3][: len(row)], squares[i + 4][: len(row)]
                for j in range(len(row)):
                    root = np.sqrt(k + alpha * (a[j] + b[j] + c[j] + d[j] + e[j]))
                    out[j] = row[j] / (root * np.sqrt(root))


@_compiled
def normalize_gradient(x: np.ndarray, upstream: np.ndarray, result: np.ndarray, k: float, alpha: float) -> None:
    """The gradient of :func:`normalize` with respect to x, given that with respect to its output."""
    # With s = k + alpha * sum: gradient = upstream * s^-b - 2 alpha b x * sum of upstream * x * s^(-b-1)
    images, maps, places = x.shape
    squares = np.zeros((maps + 4, _BLOCK), np.float32)
    terms = np.zeros((maps + 4, _BLOCK), np.float32)
    factor = np.float32(1.5) * alpha
    for image in range(images):
        for first in range(0, places, _BLOCK):
            end = min(first + _BLOCK, places)
            _squares(x[image], first, end, squares)
            for i in range(maps):
                row, above, out = x[image, i][first:end], upstream[image, i][first:end], result[image, i][first:end]
                a, b, c = squares[i][: len(row)], squares[i + 1][: len(row)], squares[i + 2][: len(row)]
                d, e, term = squares[i + 3][: len(row)], squares[i + 4][: len(row)], terms[i + 2][: len(row)]
                for j in range(len(row)):
                    s = k + alpha * (a[j] + b[j] + c[j] + d[j] + e[j])
                    root = np.sqrt(s)
                    direct = above[j] / (root * np.sqrt(root))
                    out[j] = direct
                    term[j] = direct * row[j] / s
            for i in range(maps):
                row, out = x[image, i][first:end], result[image, i][first:end]
                a, b, c = terms[i][: len(row)], terms[i + 1][: len(row)], terms[i + 2][: len(row)]
                d, e = terms[i + 3][: len(row)], terms[i + 4][: len(row)]
                for j in range(len(row)):
                    out[j] -= factor * row[j] * (a[j] + b[j] + c[j] + d[j] + e[j])


@_compiled
def subtracted(images: np.ndarray, mean: np.ndarray, result: np.ndarray) -> None:
    """uint8 (images, height, width, 3) minus mean, float32 (3, height, width), into (images, 3, height, width)."""
    for image in range(len(images)):
        for y in range(images.shape[1]):
            row = images[image, y]
            for colour in range(3):
                under, out = mean[colour, y], result[image, colour, y]
                for x in range(len(under)):
                    out[x] = np.float32(row[x, colour]) - under[x]
