"""NumPy's files that somebody else may have written: a header of a few bytes may ask for all memory there is."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO

import numpy as np


def read_array(stream: IO[bytes], size: int) -> np.ndarray:
    """The array of a .npy of ``size`` bytes. Raises ValueError where its header says that it has more, or fewer."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"a .npy of version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    needed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or needed > size:
        raise ValueError("a header that asks for more than there is")
    content = stream.read(needed + 1)
    if len(content) != needed:
        raise ValueError("not as long as its header says")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()


def read_arrays(archive: zipfile.ZipFile, names: set[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz that numpy.savez wrote, or those of them with these names; KeyError where one is not there.

    Raises ValueError where one is damaged, compressed, or asks for more memory than the file has bytes.
    """
    members = {name[: -len(".npy")]: name for name in archive.namelist() if name.endswith(".npy")}
    found = {}
    for name in members if names is None else names:
        info = archive.getinfo(members[name])
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError("compressed arrays, which this program does not write")
        with archive.open(info) as member:
            found[name] = read_array(member, info.file_size)
    return found


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """:func:`read_arrays` of the bytes of a .npz; zipfile.BadZipFile where they are none."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return read_arrays(archive)
