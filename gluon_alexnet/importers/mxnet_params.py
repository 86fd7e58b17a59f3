"""Arrays of an MXNet .params file, read without MXNet: its own loader believes what a file claims.

Layout: src/ndarray/ndarray.cc of apache/incubator-mxnet, NDArray::Save and NDArray::Load, in all its versions.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import OperationFailed
from ..safe_files import opened
from .arrays import MAX_ARRAYS, StoredArray, check_size, elements, printable

LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA  # before V1 an array began with its number of sides
_TYPES = {0: "float32", 1: "float64", 2: "float16", 3: "uint8", 4: "int32", 5: "int8", 6: "int64", 7: "bool"}
_MOST_SIDES = 32
_LONGEST_NAME = 500


def is_params(head: bytes) -> bool:
    """Whether a file that begins so can be one."""
    return head.startswith(struct.pack("<QQ", LIST_MAGIC, 0))


def read_params(file: Path) -> dict[str, StoredArray]:
    """The arrays by name; "arg:" and "aux:" of exported nets are left off.

    Raises OperationFailed where the file is cut or damaged, or holds sparse arrays.
    """
    length = check_size(file)
    try:
        with opened(file) as stream:
            source = _Source(file, stream, length)
            magic, reserved, count = source.numbers("<QQQ")
            if (magic, reserved) != (LIST_MAGIC, 0) or not 0 < count <= MAX_ARRAYS:
                raise _damaged(file, "it does not begin as one")
            arrays = [source.array() for _ in range(count)]
            (named,) = source.numbers("<Q")
            if named != count:
                raise _damaged(file, f"it has {count} arrays and {named} names")
            names = [source.name() for _ in range(count)]
            if stream.tell() != length:
                raise _damaged(file, "it goes on after its end")
    except struct.error as error:
        raise _damaged(file, "it is cut") from error
    if len(set(names)) != count:
        raise _damaged(file, "a name occurs twice")
    return dict(zip(names, arrays))


def _damaged(file: Path, why: str) -> OperationFailed:
    return OperationFailed(f"{file} is no whole .params file of MXNet: {why}.")


class _Source:
    """Reads on from where it is; nothing longer than the rest of the file is ever asked for."""

    def __init__(self, file: Path, stream: BinaryIO, length: int) -> None:
        self._file, self._stream, self._length = file, stream, length

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._stream.read(struct.calcsize(form)))

    def array(self) -> StoredArray:
        (magic,) = self.numbers("<I")
        if magic in (_V2, _V3) and self.numbers("<i") != (0,):
            raise _damaged(self._file, "an array is sparse")
        sides = self.numbers("<I")[0] if magic in (_V1, _V2, _V3) else magic
        if not 0 <= sides <= _MOST_SIDES:
            raise _damaged(self._file, "an array has no shape")
        shape = self.numbers(f"<{sides}q" if magic in (_V1, _V2, _V3) else f"<{sides}I")
        if not sides or min(shape) < 0:
            raise _damaged(self._file, "an array has no shape")
        _, _, kind = self.numbers("<iii")  # kind and number of the device it was on
        if kind not in _TYPES:
            raise _damaged(self._file, "an array's numbers are of no known type")
        size = elements(shape) * np.dtype(_TYPES[kind]).itemsize
        begin = self._stream.tell()
        if size > self._length - begin:
            raise _damaged(self._file, f"an array announces {elements(shape):,} numbers, more than there are")
        self._stream.seek(begin + size)
        return StoredArray(shape, _TYPES[kind], lambda: self._content(begin, shape))

    def _content(self, begin: int, shape: tuple[int, ...]) -> np.ndarray:
        with opened(self._file) as stream:
            stream.seek(begin)
            read = stream.read(4 * elements(shape))
        if len(read) != 4 * elements(shape):
            raise _damaged(self._file, "it is cut")
        return np.frombuffer(read, "<f4").reshape(shape)

    def name(self) -> str:
        (length,) = self.numbers("<Q")
        if length > _LONGEST_NAME:
            raise _damaged(self._file, f"a name announces {length:,} letters")
        read = self._stream.read(length)
        if len(read) != length:
            raise _damaged(self._file, "it is cut")
        name = printable(read.decode("utf-8", "replace"))
        return name.partition(":")[2] if name.startswith(("arg:", "aux:")) else name
