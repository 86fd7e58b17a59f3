"""Loops compiled by Numba, kept on the disk where there is a place; importing this takes half a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled at its first call; while it runs, other threads of Python do."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # no folder to keep compiled code in: it is compiled anew each time
        return numba.njit(nogil=True, error_model="numpy")(function)
