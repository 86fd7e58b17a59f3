"""The place of the compiled loops, which :mod:`..packing.load_loops` fills where many images are packed.

Until they are loaded, and where they turn out not to be exact with the libraries of this machine, the libraries do
the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Loops(NamedTuple):
    """What is compiled; None where only the library gives the right bits, or nothing is loaded."""

    scaled_centre: Callable[[np.ndarray, int, int], np.ndarray] | None = None  # of area_filter.py
    decoded: Callable[[np.ndarray], np.ndarray] | None = None  # an encoded image as the decoder gives it
    add_sums: Callable[[np.ndarray, np.ndarray, np.ndarray], None] | None = None  # of jpeg_pixels.py


_loaded = Loops()


def loops() -> Loops:
    """The loops that are loaded by now."""
    return _loaded


def use(loaded: Loops) -> None:
    """Have these loops do the work from now on, in the whole process; `Loops()` leaves it to the libraries."""
    global _loaded
    _loaded = loaded
