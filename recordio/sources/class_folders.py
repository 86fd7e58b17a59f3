"""Where images come from. A source list has a length and gives `Source` by number; bytes are read when asked for."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
import stat
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..dataset.images import MAX_BYTES, ImageError
from ..dataset.manifest import PathLike, SourceError
from ..dataset.shuffle import shuffled
from .tar_index import NO_FILE, Member, members

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_CLASS_TAR = re.compile(r"(?:.*/)?(n\d{8})\.tar")
_SCANNERS = 8  # threads that list tars: on a disk far away each header is a wait
_CLASSES_PER_TURN = 64

_IN_FOLDER, _ALONE = -1, -2  # instead of an offset in a tar: the file root/key, or root itself

Scanned = Callable[[int, int], None]  # called with (classes or images seen since the last call, all of them)


class Source(NamedTuple):
    """One image to pack: `key` is its path below the split's folder, unique there; `label` counts from 0.

    It is the file `path`, or with an `offset` the `size` bytes from there in the tar `path`; with a key of NO_FILE for
    its offset it is something else there, which cannot be read.
    """

    key: str
    label: int
    path: str
    offset: int = _IN_FOLDER
    size: int = 0

    def read(self) -> bytes:
        """The image file's bytes; OSError when it cannot be read, :class:`ImageError` when absurdly large."""
        if self.offset in NO_FILE:
            raise ImageError(NO_FILE[self.offset])
        begin, size = self.offset, self.size
        if begin < 0:
            status = os.stat(self.path)
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not a regular file")  # opening a pipe would wait for ever
            begin, size = 0, status.st_size
        if size > MAX_BYTES:
            raise ImageError(f"larger than {MAX_BYTES >> 20} MB")
        # Four calls, where a file object makes nine: after each, a thread waits for Python's lock.
        file = os.open(self.path, os.O_RDONLY)
        try:
            data = os.pread(file, size, begin)
        finally:
            os.close(file)
        if self.offset >= 0 and len(data) != size:
            raise ImageError("its tar has been cut since it was listed")
        return data


class ImageList(Sequence):
    """Images kept as blocks of bytes and numbers: 15 million Python strings would take gigabytes."""

    def __init__(self) -> None:
        self._roots: dict[str, int] = {}
        self._names: list[str] = []  # of the roots
        self._keys = bytearray()
        self._ends = array("q", [0])
        self._labels = array("i")
        self._places = array("i")  # numbers of roots
        self._offsets = array("q")
        self._sizes = array("I")
        self._elsewhere: dict[int, tuple[str, int, int]] = {}

    def append(self, source: Source) -> None:
        """Add an image."""
        root, offset = source.path, source.offset
        if offset < 0 and offset not in NO_FILE:
            in_folder = root.endswith("/" + source.key)
            root, offset = (root[: -len(source.key) - 1], _IN_FOLDER) if in_folder else (root, _ALONE)
        place = self._roots.get(root)
        if place is None:
            place = self._roots[root] = len(self._names)
            self._names.append(root)
        self._keys += os.fsencode(source.key)
        self._ends.append(len(self._keys))
        self._labels.append(source.label)
        self._places.append(place)
        self._offsets.append(offset)
        self._sizes.append(min(source.size, 2**32 - 1))

    def replace(self, number: int, path: str, offset: int, size: int) -> None:
        """Take the bytes of the image with this number from elsewhere."""
        self._elsewhere[number] = (path, offset, size)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, number: int) -> Source:  # type: ignore[override]  # nobody slices these
        label = self._labels[number]
        number %= len(self)
        key = os.fsdecode(bytes(self._keys[self._ends[number] : self._ends[number + 1]]))
        if number in self._elsewhere:
            return Source(key, label, *self._elsewhere[number])
        root, offset = self._names[self._places[number]], self._offsets[number]
        if offset >= 0 or offset in NO_FILE:
            return Source(key, label, root, offset, self._sizes[number])
        return Source(key, label, f"{root}/{key}" if offset == _IN_FOLDER else root)

    def labels(self) -> np.ndarray:
        """The label of each image, int64 (len,)."""
        return np.array(self._labels, np.int64)


class Selection(Sequence):
    """Some images of a list, by number: int64 (len,)."""

    def __init__(self, images: ImageList, numbers: np.ndarray) -> None:
        self._images, self._numbers = images, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> Source:  # type: ignore[override]  # nobody slices these
        return self._images[int(self._numbers[number])]


def split_half(images: ImageList, seed: int) -> tuple[Selection, Selection]:
    """Half of each class's images and the other half (paper Sec. 6, Fall 2009); an odd one is in the first."""
    labels = images.labels()
    first = np.zeros(len(labels), bool)
    begins = [*np.flatnonzero(np.diff(labels, prepend=-1)), len(labels)]  # a list is in the order of its labels
    for begin, end in itertools.pairwise(begins):
        # Streams of their own: epochs count from 0, packing's orders from 2**63.
        order = shuffled(end - begin, seed, 2**62 + int(labels[begin]))
        first[begin + order[: (end - begin + 1) // 2]] = True
    return Selection(images, np.flatnonzero(first)), Selection(images, np.flatnonzero(~first))


@dataclass(frozen=True)
class ClassFolder:
    """One place a class: `wnids` in label order (sorted), all images, and what was passed over."""

    wnids: tuple[str, ...]
    images: ImageList
    missing: tuple[str, ...]  # classes given by the caller that have no image here
    ignored: int  # files of other kinds or outside the classes


Place = tuple[str, Member | None, bool]  # of a class: the path, a tar within it, whether it is a tar
Listing = tuple[list[tuple[str, str, int, int]], int]  # (key, path, offset, size) of each image; other files


def class_folder(
    place: PathLike,
    wnids: Sequence[str] | None = None,
    *,
    whose: str = "the training split",
    allow_empty: bool = False,
    progress: Scanned | None = None,
) -> ClassFolder:
    """List a folder with a sub-folder or an nXXXXXXXX.tar per class, or a tar of such tars; hidden files are skipped.

    `wnids` are the classes of the training split (or of `whose`), in label order; without them the place's own, sorted,
    are used. Raises :class:`SourceError` when there are no images, when a class of the training split has none
    unless `allow_empty`, when there is a class that is not in `wnids`, or when a tar is damaged or cut.
    """
    found, ignored = _classes(place)
    own = wnids is None
    if wnids is None:
        wnids = sorted(found)
    else:
        foreign = sorted(found.keys() - set(wnids))
        if foreign:
            raise SourceError(f"{place}: classes that {whose} lacks: {_some(foreign)}")
    images = ImageList()
    empty = []
    listings = _listings([(wnid, found.get(wnid)) for wnid in wnids])
    for label, (wnid, (names, others)) in enumerate(zip(wnids, listings)):
        for key, path, offset, size in names:
            images.append(Source(key, label, path, offset, size))
        ignored += others
        if not names:
            empty.append(wnid)
        if progress is not None:
            progress(1, len(wnids))
    if not len(images):
        raise SourceError(
            f"{place}: no images ({', '.join(EXTENSIONS)}) in sub-folders; each class needs a folder of its own, "
            "or an nXXXXXXXX.tar"
        )
    if empty and own and not allow_empty:
        raise SourceError(f"{place}: class folders without an image: {_some(empty)}; fill or remove them")
    return ClassFolder(tuple(wnids), images, tuple(empty), ignored)


def _classes(place: PathLike) -> tuple[dict[str, Place], int]:
    """Class → (path, the tar in the tar there, whether it is a tar at all), and how many other files there are."""
    found: dict[str, tuple[str, Member | None, bool]] = {}
    ignored = 0
    entries: list[tuple[str, bool, Member | None]]
    if os.path.isfile(place) and os.fspath(place).endswith((".tar", ".tar.gz", ".tgz")):
        entries = [(member.name, False, member) for member in members(place)]
    else:
        entries = [(name, is_folder, None) for name, is_folder in _entries(place)]
    for name, is_folder, member in entries:
        tar = None if is_folder else _CLASS_TAR.fullmatch(name)
        if not is_folder and tar is None:
            ignored += 1
            continue
        wnid = tar[1] if tar else name
        if member is not None and member.offset in NO_FILE:
            raise SourceError(f"{place}: {name} is {NO_FILE[member.offset]}; complete the tar")
        if wnid in found:
            raise SourceError(f"{place}: the class {wnid} is there twice, for example as folder and as tar; remove one")
        found[wnid] = (os.fspath(place) if member else os.path.join(place, name), member, tar is not None)
    return found, ignored


def _listings(classes: Sequence[tuple[str, Place | None]]) -> Iterator[Listing]:
    """For each (wnid, where): ([(key, path, offset, size), …] in order, number of other files)."""
    with ThreadPoolExecutor(_SCANNERS, thread_name_prefix="scan") as pool:
        for begin in range(0, len(classes), _CLASSES_PER_TURN):
            yield from pool.map(_listing, classes[begin : begin + _CLASSES_PER_TURN])


def _listing(entry: tuple[str, Place | None]) -> Listing:
    wnid, where = entry
    if where is None:
        return [], 0
    path, inner, is_tar = where
    if is_tar:
        # Of members with the same name the last one counts, as when they are unpacked.
        names = {
            key: (member.offset, member.size) for member in members(path, inner) if (key := _key(member.name, wnid))
        }
        files = [(key, path, *names[key]) for key in sorted(names, key=lambda key: key.split("/"))]
    else:
        parent = os.path.dirname(path)
        files = [(key, f"{parent}/{key}", _IN_FOLDER, 0) for key in _walk(path, wnid, ())]
    images = [file for file in files if file[0].lower().endswith(EXTENSIONS)]
    return images, len(files) - len(images)


def _key(name: str, wnid: str) -> str | None:
    """A tar member's key, the same as its file would have unpacked; None for hidden files."""
    parts = [part for part in posixpath.normpath(name).split("/") if part]
    if len(parts) > 1 and parts[0] == wnid:
        parts = parts[1:]
    return None if any(part.startswith(".") for part in parts) else "/".join((wnid, *parts))


def _entries(folder: PathLike) -> list[tuple[str, bool]]:
    """(name, is a folder) of each entry that is not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (e.name, os.path.isdir(e.path) if e.is_symlink() else e.is_dir())
                for e in entries
                if not e.name.startswith(".")
            )
    except FileNotFoundError as error:
        raise SourceError(f"{folder}: no such folder") from error
    except NotADirectoryError as error:
        raise SourceError(f"{folder}: not a folder; name one with a sub-folder per class, or a tar of tars") from error
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}") from error


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise SourceError(f"{folder}: a link that leads back to a folder above it; remove it")
    for name, is_folder in _entries(folder):
        if is_folder:
            yield from _walk(os.path.join(folder, name), f"{prefix}/{name}", (*above, here))
        else:
            yield f"{prefix}/{name}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(Path(name).name for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
