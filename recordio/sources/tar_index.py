"""Tar files read in place: where each file in them lies. ILSVRC comes as tars of tars that fill a disk unpacked."""

from __future__ import annotations

import os
import posixpath
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gluon_alexnet.safe_files import descriptor_of, regular

from ..dataset.manifest import PathLike, SourceError

_BLOCK = 512
_MAX_NAME = 2**16
_PAX_PATH = re.compile(rb"\d+ path=([^\n]*)\n")
_PAX_LINK = re.compile(rb"\d+ linkpath=([^\n]*)\n")
_MAX_LINKS = 40  # that lead from one to the next, as Linux allows them

# In place of an offset: what is there in place of a file's bytes.
NO_TARGET, DEVICE, FIFO, UNKNOWN = -3, -4, -5, -6
NO_FILE = {
    NO_TARGET: "a link to no file of its tar",
    DEVICE: "a device, no file",
    FIFO: "a FIFO, no file",
    UNKNOWN: "an entry of its tar of unknown kind",
}
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_BEFORE = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, *_PAX)  # tell something of the entry that follows
_KINDS = {tarfile.CHRTYPE: DEVICE, tarfile.BLKTYPE: DEVICE, tarfile.FIFOTYPE: FIFO}


class Member(NamedTuple):
    """A file in a tar: `size` bytes from `offset` of the tar file that lies on disk, or with a key of NO_FILE none."""

    name: str
    offset: int
    size: int


def members(path: PathLike, inner: Member | None = None) -> Iterator[Member]:
    """Everything but folders in the tar at `path`, or in the tar `inner` within it, in order; symbolic links last.

    Links have the bytes of the file in the tar that they mean, as when it is unpacked. Links to nothing there, devices
    and FIFOs are given, too, with a key of NO_FILE for their offset, so that nothing vanishes uncounted. Only headers
    are read. Raises :class:`SourceError` when the tar is compressed, damaged or cut: `tarfile` takes a damaged header
    for the end.
    """
    where = f"{path}: {inner.name}" if inner else os.fspath(path)
    with _opened(path) as descriptor:
        offset, end = (inner.offset, inner.offset + inner.size) if inner else (0, os.fstat(descriptor).st_size)
        begin, names, entries = offset, _LongNames(), _Entries()
        while True:
            block = os.pread(descriptor, max(0, min(_BLOCK, end - offset)), offset)
            if offset == begin and block.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
                raise SourceError(f"{where}: a compressed tar; decompress it first, images in it cannot be looked up")
            if len(block) < _BLOCK:
                raise SourceError(
                    f"{where}: cut after {offset - begin} bytes, its end mark is missing; download it again"
                )
            if not block.strip(b"\0"):
                yield from entries.links()
                return
            header = _header(block, where, offset - begin)
            offset += _BLOCK
            held = _held(header)
            if held < 0 or offset + held > end:
                raise SourceError(f"{where}: cut, or damaged, within {header.name!r}; download it again")
            if header.type in _BEFORE:
                names.read(header.type, os.pread(descriptor, min(held, _MAX_NAME), offset))
            else:
                name, link = names.take(header)
                member = entries.add(name, link, header, offset)
                if member is not None:
                    yield member
            offset += -(-held // _BLOCK) * _BLOCK


class _LongNames:
    """The name and the link of the next entry, where they are too long for its header and stand before it."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._link: str | None = None

    def read(self, kind: bytes, content: bytes) -> None:
        """What stands before an entry."""
        if kind == tarfile.GNUTYPE_LONGNAME:
            self._name = _decoded(content.partition(b"\0")[0])
        elif kind == tarfile.GNUTYPE_LONGLINK:
            self._link = _decoded(content.partition(b"\0")[0])
        elif kind == tarfile.XHDTYPE:
            name, link = (pattern.search(content) for pattern in (_PAX_PATH, _PAX_LINK))
            self._name, self._link = name and _decoded(name[1]), link and _decoded(link[1])

    def take(self, header: tarfile.TarInfo) -> tuple[str, str]:
        """(name, link) of the entry with this header."""
        found = self._name or header.name, self._link or header.linkname
        self._name = self._link = None
        return found


class _Entries:
    """What lies in a tar so far: places of files, and links to be followed once all of it is known."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, tuple[str, str]] = {}  # the name as it was written, and the path that is meant

    def add(self, name: str, link: str, header: tarfile.TarInfo, offset: int) -> Member | None:
        """The member, unless it is a folder, or a link that is given at the end; the last of a name counts."""
        key = posixpath.normpath(name)
        if header.isdir():
            return None
        self._links.pop(key, None)
        self._files.pop(key, None)
        # A hard link means what its name has at that moment, if there is something yet; a symbolic one, at the end.
        target = posixpath.normpath(posixpath.join(posixpath.dirname(key), link) if header.issym() else link)
        if header.issym() or (header.islnk() and target not in self._files):
            self._links[key] = name, target
            return None
        if header.islnk():
            place = self._files[target]
        else:
            place = (offset, header.size) if header.isreg() else (_KINDS.get(header.type, UNKNOWN), 0)
        self._files[key] = place
        return Member(name, *place)

    def links(self) -> Iterator[Member]:
        """The links that were not given yet."""
        for name, target in self._links.values():
            for _ in range(_MAX_LINKS):
                if target not in self._links:
                    break
                target = self._links[target][1]
            yield Member(name, *self._files.get(target, (NO_TARGET, 0)))


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _header(block: bytes, where: str, at: int) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise SourceError(f"{where}: damaged, or no tar, at byte {at}; download it again") from error


def _held(header: tarfile.TarInfo) -> int:
    """Bytes that follow a header. As in tarfile: links and folders have no data, whatever size they state."""
    if header.type in _BEFORE:
        return header.size
    return header.size if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES else 0


def read_small(path: PathLike, endings: tuple[str, ...], limit: int = 2**26) -> dict[str, bytes]:
    """The files of a small tar, compressed or not, whose names end with one of `endings`: ending → bytes.

    Raises :class:`SourceError` when the tar is damaged or cut.
    """
    found = {}
    try:
        with tarfile.open(regular(path)) as tar:
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


@contextmanager
def _opened(path: PathLike) -> Iterator[int]:
    try:
        descriptor = descriptor_of(path)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    try:
        # Headers lie far apart: what the system would read ahead is images.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        yield descriptor
    finally:
        os.close(descriptor)
