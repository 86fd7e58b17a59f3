"""The one way in which a file of ours is written: beside its place, flushed to the disk, renamed; and files' digests.

What is there already stays until the new file is whole. Only a regular file is replaced: a symbolic link is followed to
the file it means, and a device, a FIFO, a socket or a folder is refused, for a rename would put a file in its place.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

from .errors import InvalidRequest
from .safe_files import opened

PathLike = Union[str, "os.PathLike[str]"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_LONGEST = 200  # characters of a name that its draft repeats: file systems take 255 bytes


def place_of(file: PathLike) -> Path:
    """Where an output of that name is written: the file itself, or the one that a symbolic link means.

    Raises InvalidRequest, before any work, where something else than a regular file is there, the file may not be
    written, or its folder is none.
    """
    named, file = file, Path(os.path.realpath(file))
    try:
        mode = os.stat(named).st_mode
    except FileNotFoundError:
        mode = None  # a new file
    except OSError as error:
        raise InvalidRequest(f"{named} cannot be written: {error.strerror}.") from error
    if mode is not None and not stat.S_ISREG(mode):
        kind = next((kind for test, kind in _KINDS if test(mode)), "no regular file")
        raise InvalidRequest(f"{named} is {kind}, and an output is a regular file; give another name.")
    if not file.parent.is_dir():
        raise InvalidRequest(f"{file.parent} is no folder, so {file.name} cannot be written there.")
    if not os.access(file if mode is not None else file.parent, os.W_OK):
        raise InvalidRequest(f"{named} cannot be written: {os.strerror(errno.EACCES)}.")
    return file


def check_folder(folder: PathLike) -> None:
    """Raise InvalidRequest, before any work, where an output folder of that name could not be made or used."""
    path = Path(os.path.realpath(folder))
    try:
        while not path.exists() and path != path.parent:
            path = path.parent
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise InvalidRequest(f"{folder} cannot be made: {error.strerror}.") from error
    if not is_folder:
        raise InvalidRequest(f"{folder} cannot be a folder: {path} is a file; give another name.")


@contextmanager
def written(file: PathLike) -> Iterator[Path]:
    """Around the writing of a file: gives the name of a draft, which becomes FILE when the block ends well.

    After an exception the draft is gone and what FILE held before is there. A draft that a killed program left is
    replaced by the next. Raises InvalidRequest as :func:`place_of` does; an OSError names FILE, not the draft.
    """
    place = place_of(file)
    draft = draft_of(place)
    try:
        draft.unlink(missing_ok=True)
        yield draft
        if place.exists():
            os.chmod(draft, stat.S_IMODE(place.stat().st_mode))
        sync(draft)
        os.replace(draft, place)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno is None or error.filename not in (None, str(draft)):
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_of(place: Path) -> Path:
    """The name beside a file under which it is written."""
    return place.with_name(f".{place.name[:_LONGEST]}.draft")


def write_bytes(file: PathLike, content: bytes) -> None:
    """Write a file's whole content. Raises as :func:`written` does."""
    with written(file) as draft:
        draft.write_bytes(content)


def write_text(file: PathLike, text: str) -> None:
    """Write a file's whole text as UTF-8. Raises as :func:`written` does."""
    write_bytes(file, text.encode("utf-8"))


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    return digest_of(file, "sha256")


def digest_of(file: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file's content by one of hashlib's algorithms."""
    digest = hashlib.new(algorithm)
    with opened(file) as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
