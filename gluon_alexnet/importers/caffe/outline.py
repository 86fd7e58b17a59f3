"""What a caffemodel alone tells: its layers in order, and the shapes of its weights. The prototxt is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ...errors import OperationFailed
from ...safe_files import read_bytes
from ..arrays import StoredArray, check_size, elements, printable, times
from .architecture import layer_type
from .schema import NetParameter

_LEARNED = ("Convolution", "InnerProduct")
_SAID = {"LRN": "norm", "Pooling": "pool"}


@dataclass(frozen=True)
class Outline:
    """arrays: by the layers' own names, "conv1.weight". order: the layers' kinds, "conv", "norm", "pool" and "fc"."""

    arrays: dict[str, StoredArray]
    order: tuple[str, ...]


def read_outline(caffemodel: Path) -> Outline:
    """The layers of a caffemodel. Raises OperationFailed where it is none, or holds no layer with weights."""
    check_size(caffemodel)
    try:
        net = NetParameter.FromString(read_bytes(caffemodel))
    except DecodeError as error:
        raise OperationFailed(f"{caffemodel} is no file of weights that is known here, or it is cut.") from error
    arrays, order = {}, []
    for layer in (*net.layer, *net.layers):
        kind = layer_type(layer)
        if kind in _SAID:
            order.append(_SAID[kind])
        if kind not in _LEARNED or not layer.blobs:
            continue
        order.append("conv" if kind == "Convolution" else "fc")
        for blob, end in zip(layer.blobs, ("weight", "bias")):
            sides = 1 if end == "bias" else 2 if kind == "InnerProduct" else 4
            arrays[f"{printable(str(layer.name))}.{end}"] = _stored(caffemodel, blob, sides)
    if not arrays:
        raise OperationFailed(f"{caffemodel} is no file of weights that is known here.")
    return Outline(arrays, tuple(order))


def _stored(file: Path, blob: Any, sides: int) -> StoredArray:
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    while len(shape) > sides and shape[0] == 1:
        shape = shape[1:]  # the older form has four sides always
    content = b"".join(blob.data)

    def numbers() -> np.ndarray:
        if min(shape, default=0) < 1 or 4 * elements(shape) != len(content):
            raise OperationFailed(
                f"{file}: an array of {len(content):,} bytes is said to be {times(shape)}; it is damaged."
            )
        return np.frombuffer(content, "<f4").reshape(shape)

    return StoredArray(shape, "float32", numbers)
