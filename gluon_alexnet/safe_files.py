"""Files that somebody else may have put there: read only where they are regular ones.

Opening a FIFO waits for ever, and a device may never end.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, Union

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


def regular(file: PathLike) -> Path:
    """The file, once it is known to be a regular one. Raises OSError as :func:`descriptor_of` does."""
    check_regular(file)
    return Path(file)
