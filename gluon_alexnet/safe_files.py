"""Files that somebody else may have put there: read only where they are regular ones, and arrays only where they fit.

Opening a FIFO waits for ever, a device may never end, and a header of a few bytes may ask for all memory there is.
"""

from __future__ import annotations

import errno
import io
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import IO, BinaryIO, Union

import numpy as np

PathLike = Union[str, "os.PathLike[str]"]


def descriptor_of(file: PathLike) -> int:
    """A descriptor to read a file by. Raises OSError where it cannot be opened, or is no regular file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(file))
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(file))


def opened(file: PathLike) -> BinaryIO:
    """The file, opened to be read. Raises OSError as :func:`descriptor_of` does."""
    return os.fdopen(descriptor_of(file), "rb")


def check_regular(file: PathLike) -> None:
    """Raise OSError as :func:`descriptor_of` does: for what is opened by other libraries, by its name."""
    os.close(descriptor_of(file))


def read_bytes(file: PathLike) -> bytes:
    """All of a file. Raises OSError as :func:`descriptor_of` does."""
    with opened(file) as stream:
        return stream.read()


def read_text(file: PathLike, errors: str = "strict") -> str:
    """All of a file of UTF-8. Raises OSError as :func:`descriptor_of` does, UnicodeDecodeError for other bytes."""
    return io.TextIOWrapper(io.BytesIO(read_bytes(file)), "utf-8", errors).read()


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


def regular(file: PathLike) -> Path:
    """The file, once it is known to be a regular one. Raises OSError as :func:`descriptor_of` does."""
    check_regular(file)
    return Path(file)
