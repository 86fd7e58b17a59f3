"""A NumPy file that grows row by row: the array's header first, in a fixed number of bytes, then the rows.

`numpy.load` opens it, memory-mapped where it is asked to, as soon as its header tells the number of rows.
"""

from __future__ import annotations

import fcntl
import math
import os
from pathlib import Path

import numpy as np

from ..errors import InvalidRequest, OperationFailed

HEADER_BYTES = 128  # the dictionary is padded to this: rows begin at a multiple of 64, as NumPy wants it


def header(rows: int, shape: tuple[int, ...], dtype: str) -> bytes:
    """The first HEADER_BYTES of the file of an array (rows, *shape), row by row; dtype: "<f4" or the like."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({', '.join(map(str, (rows, *shape)))},), }}"
    padded = text.ljust(HEADER_BYTES - 11) + "\n"  # 6 bytes of magic, 2 of version, 2 of length
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode("latin1")


def row_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of one row."""
    return math.prod(shape) * np.dtype(dtype).itemsize


class GrowingNpy:
    """A file of rows (…, *shape) to append to, held by one process. Its header says 0 rows until :meth:`close`.

    Raises InvalidRequest where another process holds it. ``rows``: how many whole ones it has.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: str) -> None:
        self._file, self._shape, self._dtype = file, shape, dtype
        self._stream = open(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b")  # noqa: SIM115  closed by `close`
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._stream.close()
            raise InvalidRequest(f"{file.parent} is being written by another process; let that one finish.") from error
        if os.fstat(self._stream.fileno()).st_size < HEADER_BYTES:
            self._stream.write(header(0, shape, dtype))
            self._stream.flush()
        size = os.fstat(self._stream.fileno()).st_size
        self.rows = (size - HEADER_BYTES) // row_bytes(shape, dtype)

    def keep(self, rows: int) -> None:
        """Go on after so many rows; what is behind them is cut off. Raises OperationFailed where there are fewer."""
        if rows > self.rows:
            raise OperationFailed(f"{self._file} has lost rows; remove {self._file.parent} and begin again.")
        self._stream.truncate(HEADER_BYTES + rows * row_bytes(self._shape, self._dtype))
        self._stream.seek(0, os.SEEK_END)

    def append(self, rows: np.ndarray) -> None:
        """Add rows, (n, *shape), converted to the file's type."""
        self._stream.write(np.ascontiguousarray(rows, self._dtype).data)

    def sync(self) -> None:
        """Have the disk hold what was appended."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self, rows: int | None = None) -> None:
        """Close the file; rows: how many it has now that it is complete."""
        if self._stream.closed:
            return
        if rows is not None:
            self._stream.seek(0)
            self._stream.write(header(rows, self._shape, self._dtype))
            self.sync()
        self._stream.close()
