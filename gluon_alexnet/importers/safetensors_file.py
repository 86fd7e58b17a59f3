"""Tensors of a .safetensors file; the package that defines the format reads it, and refuses what is no such file."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from ..errors import OperationFailed
from ..safe_files import opened
from .arrays import StoredArray, check_size, printable

MAX_HEADER = 2**22  # bytes: AlexNet's takes 1,500; the package itself would read a hundred million
_TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins so can be one: the header's length, then its JSON."""
    return head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] < 2**40  # text in its place is a larger number


def read_safetensors(file: Path) -> dict[str, StoredArray]:
    """The tensors by name. Raises OperationFailed where the file is cut or damaged."""
    length = check_size(file)
    with opened(file) as stream:
        head = stream.read(8)
    announced = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
    if not 2 <= announced <= min(length - 8, MAX_HEADER):
        raise OperationFailed(
            f"{file} announces a header of {announced:,} bytes, and the file has {length:,}; it is cut or damaged, or "
            "holds more than AlexNet's weights."
        )
    try:
        with _opened(file) as tensors:
            views = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118  # no dict
            described = {name: (tuple(view.get_shape()), view.get_dtype()) for name, view in views.items()}
    except safetensors.SafetensorError as error:
        raise OperationFailed(f"{file} is cut or damaged, or no .safetensors file: {printable(str(error))}.") from error

    def content(name: str) -> np.ndarray:
        try:
            with _opened(file) as tensors:
                return tensors.get_tensor(name)
        except safetensors.SafetensorError as error:
            raise OperationFailed(f"{file} is cut or damaged: {printable(str(error))}.") from error

    return {
        name: StoredArray(shape, _TYPES.get(kind, kind), lambda name=name: content(name))  # type: ignore[misc]
        for name, (shape, kind) in described.items()
    }


def _opened(file: Path) -> Any:
    return safetensors.safe_open(str(file), framework="numpy")
