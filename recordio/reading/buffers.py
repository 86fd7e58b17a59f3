"""Memory for batches, used again: fresh memory costs the system three times what filling it does."""

from __future__ import annotations

import ctypes
import math
import weakref

import numpy as np
from numpy.typing import DTypeLike


class Buffers:
    """Gives arrays whose memory comes back when nothing refers to them any more, not even a slice of them."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array of this shape and type; its content is whatever was there."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._free.pop() if self._free else np.empty(size, np.uint8)
        if memory.nbytes < size:
            memory = np.empty(size, np.uint8)
        # Arrays refer to the owner, however they are sliced; it dies with the last of them.
        owner = (ctypes.c_ubyte * size).from_buffer(memory)  # type: ignore[arg-type]  # NumPy 1 does not declare its arrays as buffers
        weakref.finalize(owner, self._free.append, memory).atexit = False
        return np.frombuffer(owner, dtype).reshape(shape)  # type: ignore[call-overload]  # nor takes ctypes arrays for them
