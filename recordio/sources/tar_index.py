"""Tar files read in place: where each file in them lies. ILSVRC comes as tars of tars that fill a disk unpacked."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..dataset.manifest import PathLike, SourceError

_BLOCK = 512
_MAX_NAME = 2**16
_PAX_PATH = re.compile(rb"\d+ path=([^\n]*)\n")


class Member(NamedTuple):
    """A regular file in a tar: `size` bytes from `offset` of the tar file that lies on disk."""

    name: str
    offset: int
    size: int


def members(path: PathLike, inner: Member | None = None) -> Iterator[Member]:
    """The regular files in the tar at `path`, or in the tar `inner` within it, in their order.

    Only headers are read. Raises :class:`SourceError` when the tar is compressed, damaged or cut: `tarfile` takes a
    damaged header for the end.
    """
    where = f"{path}: {inner.name}" if inner else os.fspath(path)
    with _opened(path) as descriptor:
        offset, end = (inner.offset, inner.offset + inner.size) if inner else (0, os.fstat(descriptor).st_size)
        begin, long_name = offset, None
        while True:
            block = os.pread(descriptor, max(0, min(_BLOCK, end - offset)), offset)
            if offset == begin and block.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
                raise SourceError(f"{where}: a compressed tar; decompress it first, images in it cannot be looked up")
            if len(block) < _BLOCK:
                raise SourceError(
                    f"{where}: cut after {offset - begin} bytes, its end mark is missing; download it again"
                )
            if not block.strip(b"\0"):
                return
            header = _header(block, where, offset - begin)
            offset += _BLOCK
            held = _held(header)
            if held < 0 or offset + held > end:
                raise SourceError(f"{where}: cut, or damaged, within {header.name!r}; download it again")
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = os.pread(descriptor, min(held, _MAX_NAME), offset)
                long_name = name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            elif header.type == tarfile.XHDTYPE:
                found = _PAX_PATH.search(os.pread(descriptor, min(held, _MAX_NAME), offset))
                long_name = found[1].decode("utf-8", "surrogateescape") if found else None
            elif header.type not in (*_PAX, tarfile.GNUTYPE_LONGLINK):
                if header.isreg():
                    yield Member(long_name or header.name, offset, header.size)
                long_name = None
            offset += -(-held // _BLOCK) * _BLOCK


def _header(block: bytes, where: str, at: int) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise SourceError(f"{where}: damaged, or no tar, at byte {at}; download it again") from error


def _held(header: tarfile.TarInfo) -> int:
    """Bytes that follow a header. As in tarfile: links and folders have no data, whatever size they state."""
    if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, *_PAX):
        return header.size
    return header.size if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES else 0


def read_small(path: PathLike, endings: tuple[str, ...], limit: int = 2**26) -> dict[str, bytes]:
    """The files of a small tar, compressed or not, whose names end with one of `endings`: ending → bytes.

    Raises :class:`SourceError` when the tar is damaged or cut.
    """
    found = {}
    try:
        with tarfile.open(path) as tar:
            for entry in tar:
                ending = next((ending for ending in endings if entry.name.endswith(ending)), None)
                if ending is not None and entry.isreg() and entry.size <= limit:
                    found[ending] = tar.extractfile(entry).read()  # type: ignore[union-attr]
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file") from error
    except PermissionError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except Exception as error:  # each kind of compression raises its own errors for damaged files
        raise SourceError(f"{path}: damaged or cut; download it again") from error
    return found


_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


@contextmanager
def _opened(path: PathLike) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    try:
        if not Path(path).is_file():
            raise SourceError(f"{path}: not a file")
        # Headers lie far apart: what the system would read ahead is images.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        yield descriptor
    finally:
        os.close(descriptor)
