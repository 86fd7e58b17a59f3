"""What the readers of files have in common: arrays by name, described first and read one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InvalidRequest, OperationFailed

MAX_BYTES = 2**31  # of a file of weights: the largest AlexNet, float32, takes 250 MB
MAX_ARRAYS = 10_000  # in a file; AlexNet has 16, and a checkpoint that also holds an optimizer's state 50


@dataclass(frozen=True)
class StoredArray:
    """An array of a file, not yet read.

    type: of its numbers, as NumPy calls it; only float32 can be read. content: its numbers, or an OperationFailed.
    """

    shape: tuple[int, ...]
    type: str
    content: Callable[[], np.ndarray]


ArrayTable = Mapping[str, StoredArray]


def read_array(file: Path, name: str, stored: StoredArray) -> np.ndarray:
    """The numbers as float32 of its shape, a copy of their own.

    Raises InvalidRequest for another type, OperationFailed where the file is cut, or a number is not finite.
    """
    if stored.type != "float32":
        raise InvalidRequest(
            f"{file}: {name} holds {stored.type} numbers, and float32 is read; convert the weights with .float() first."
        )
    if 4 * elements(stored.shape) > MAX_BYTES:
        raise OperationFailed(f"{file}: {name} is {times(stored.shape)}, more than any AlexNet's weights.")
    array = np.array(stored.content(), np.float32, order="C")
    if array.shape != stored.shape:
        raise OperationFailed(f"{file}: {name} is {times(array.shape)} where {times(stored.shape)} was announced.")
    if not np.isfinite(array).all():
        raise OperationFailed(f"{file}: {name} holds numbers that are not finite; the weights are of no use.")
    return array


def elements(shape: tuple[int, ...]) -> int:
    """How many numbers an array of the shape has; Python's whole numbers do not overflow."""
    return math.prod(shape)


def printable(text: str) -> str:
    """A text of a file's for a message: on one line, and at most 200 characters."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:200])
    return shown + "…" * (len(text) > 200)


def times(shape: tuple[int, ...]) -> str:
    """A shape in words: 64×3×11×11."""
    return "×".join(map(str, shape)) or "a single number"


def check_size(file: Path) -> int:
    """The file's length in bytes. Raises InvalidRequest where there is no regular file, or too long a one."""
    if not file.exists():
        raise InvalidRequest(f"There is no file {file}.")
    if not file.is_file():
        raise InvalidRequest(f"{file} is not a regular file.")  # a device may never end
    length = file.stat().st_size
    if length > MAX_BYTES:
        raise InvalidRequest(
            f"{file} has {length:,} bytes; AlexNet's weights take 250 million, and 2³¹ are read at most."
        )
    return length
