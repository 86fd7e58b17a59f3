"""Pixels as a net on a CPU reads them: float32, the mean subtracted, zeros around, in one pass over the image."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from ..backend import mx, threads

_FEW = 4  # images that are not worth a second thread


class Preparation:
    """uint8 (N, height, width, 3) → float32 (N, 3, height + border, width + border).

    mean: float32 (3, height, width), or (3, 1, 1) of each colour. border: zeros above, below, left and right.
    The memory is used again for the next images: :meth:`take` hands it out, :meth:`give_back` returns it; several
    threads may hold some at once.
    """

    def __init__(self, mean: np.ndarray, border: tuple[int, int, int, int]) -> None:
        self._mean, self._border = mean, border
        self._free: list[np.ndarray] = []

    def take(self, images: np.ndarray) -> np.ndarray:
        """The prepared pixels."""
        count, height, width = images.shape[:3]
        top, bottom, left, right = self._border
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty((0,), np.float32)
        if len(memory) < count:
            memory = np.zeros((count, 3, height + top + bottom, width + left + right), np.float32)
        out = memory[:count, :, top : top + height, left : left + width]
        if self._mean.shape[1:] != (height, width):
            self._mean = np.ascontiguousarray(np.broadcast_to(self._mean, (3, height, width)))
        kernel, parts = _kernel(), threads() if count >= _FEW else 1
        if parts == 1:
            kernel(images, self._mean, out)
        else:
            bounds = [count * part // parts for part in range(parts + 1)]
            done = [_pool().submit(kernel, images[a:b], self._mean, out[a:b]) for a, b in itertools.pairwise(bounds)]
            for one in done:
                one.result()
        return memory[:count]

    def give_back(self, pixels: np.ndarray) -> None:
        """Let the memory be used again: nobody reads it any more."""
        whole = pixels if pixels.base is None else pixels.base
        if not self._free:
            self._free.append(whole)


def on_device(array: np.ndarray, context: Any) -> Any:
    """An array on a context; on cpu(0) it is this memory itself, which nobody may change while MXNet reads it."""
    # By way of a view: MXNet makes what it is given read-only.
    return mx.nd.from_numpy(array[:]).as_in_context(context)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads(), thread_name_prefix="pixels")


def _plain(images: np.ndarray, mean: np.ndarray, out: np.ndarray) -> None:
    np.subtract(images.transpose(0, 3, 1, 2), mean, out=out, dtype=np.float32)


@cache
def _kernel() -> Callable[..., None]:
    """:func:`_plain` in one pass that holds no lock of Python's; as it is where Numba is missing."""
    try:
        from .lrn_kernels import subtracted
    except ImportError:
        return _plain
    return subtracted
