"""The weights and the mean in Caffe's files, read and checked.

What a file claims is compared with what the net needs and with the file's length before anything of that size is made.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ...errors import OperationFailed
from ...safe_files import read_bytes
from .architecture import Architecture, times
from .schema import BlobProto, NetParameter

MAX_BYTES = 2**31 - 1  # protobuf reads no longer message
MAX_MEAN_BYTES = 64 * 2**20

# Means of ILSVRC-2012's training images, RGB grey levels: those Caffe's documentation gives (its own order is BGR).
CHANNEL_MEANS = (122.67891434, 116.66876762, 104.00698793)


def read_weights(caffemodel: Path, architecture: Architecture) -> dict[str, np.ndarray]:
    """Weights and biases, float32, by the names of ``architecture.shapes``; conv1 reads BGR, as in the file.

    Raises OperationFailed where the file is cut or damaged, or holds another net than the architecture.
    """
    needed = 4 * sum(math.prod(shape) for shape in architecture.shapes.values())
    length = caffemodel.stat().st_size
    if length < needed or length > MAX_BYTES:
        raise OperationFailed(
            f"{caffemodel} has {length:,} bytes and the weights of this net take {needed:,}; the file is cut, or it "
            "belongs to another net."
        )
    net = _parse(NetParameter, caffemodel)
    learned = {str(layer.name): layer for layer in (*net.layer, *net.layers) if layer.blobs}
    foreign, absent = (
        sorted(one - other)
        for one, other in ((set(learned), set(architecture.names)), (set(architecture.names), set(learned)))
    )
    if foreign or absent:
        parts = [f"no weights of {', '.join(absent)}"] if absent else []
        parts += [f"weights of {', '.join(foreign[:5])}, which the prototxt does not have"] if foreign else []
        raise OperationFailed(f"{caffemodel} belongs to another net: it has {' and '.join(parts)}.")
    weights = {}
    for name, ours in architecture.names.items():
        blobs = learned[name].blobs
        if len(blobs) != 2:
            raise OperationFailed(
                f"{caffemodel}: layer {name!r} has {len(blobs)} arrays where weights and biases are two."
            )
        for blob, end in zip(blobs, ("weight", "bias")):
            key = f"{ours}_{end}"
            weights[key] = _array(caffemodel, f"the {end} of layer {name!r}", blob, architecture.shapes[key])
    return weights


def read_mean(binaryproto: Path) -> np.ndarray:
    """A mean image as float32 (3, height, width), RGB grey levels. Raises OperationFailed for what is none."""
    if binaryproto.stat().st_size > MAX_MEAN_BYTES:
        raise OperationFailed(f"{binaryproto} is too long for a mean image.")
    blob = _parse(BlobProto, binaryproto)
    claimed = _claimed(blob)
    if len(claimed) == 3:
        claimed = (1, *claimed)
    if len(claimed) != 4 or claimed[:2] != (1, 3) or min(claimed) < 1:
        raise OperationFailed(f"{binaryproto} holds an array {times(claimed)}, and a mean image is 1×3×height×width.")
    return _array(binaryproto, "the mean image", blob, claimed)[0, ::-1].copy()


def _parse(message: Any, file: Path) -> Any:
    try:
        return message.FromString(read_bytes(file))
    except DecodeError as error:
        raise OperationFailed(f"{file} is cut or no file of Caffe's: it cannot be decoded.") from error


def _claimed(blob: Any) -> tuple[int, ...]:
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    return (blob.num, blob.channels, blob.height, blob.width)


def _array(file: Path, what: str, blob: Any, shape: tuple[int, ...]) -> np.ndarray:
    claimed = _claimed(blob)
    # The older form has four numbers always: 1×1×1×96 for 96 biases.
    expected = shape if blob.HasField("shape") else (1,) * (4 - len(shape)) + tuple(shape)
    if claimed != expected:
        raise OperationFailed(f"{file}: {what} is an array {times(claimed)} where {times(expected)} is needed.")
    content = b"".join(blob.data)
    if len(content) != 4 * math.prod(shape):
        raise OperationFailed(
            f"{file}: {what} says {times(claimed)} and has {len(content):,} bytes of float32 numbers where that takes "
            f"{4 * math.prod(shape):,}."
        )
    array = np.frombuffer(content, "<f4").reshape(shape)
    if not np.isfinite(array).all():
        raise OperationFailed(f"{file}: {what} has numbers that are not finite; the file is damaged.")
    return array
