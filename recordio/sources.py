"""Where pictures come from. A source list has a length and gives `Source` by number; bytes are read when asked for."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .dataset import PathLike, SourceError
from .pictures import MAX_BYTES, PictureError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class Source(NamedTuple):
    """One picture to pack: `key` is its path below the split's folder, unique there; `label` counts from 0."""

    key: str
    label: int
    path: str

    def read(self) -> bytes:
        """The file's bytes; OSError when it cannot be read, :class:`PictureError` when it is absurdly large."""
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise PictureError("not a regular file")  # opening a pipe would wait for ever
        with open(self.path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PictureError(f"larger than {MAX_BYTES >> 20} MB")
        return data


class FileList(Sequence):
    """Pictures below one folder, kept as one block of bytes: 15 million Python strings would take gigabytes."""

    def __init__(self, folder: PathLike) -> None:
        self._folder = os.fspath(folder)
        self._keys = bytearray()
        self._ends = array("q", [0])
        self._labels = array("i")

    def append(self, key: str, label: int) -> None:
        """Add the picture `folder/key`."""
        self._keys += os.fsencode(key)
        self._ends.append(len(self._keys))
        self._labels.append(label)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, number: int) -> Source:
        label = self._labels[number]
        number %= len(self)
        key = os.fsdecode(bytes(self._keys[self._ends[number] : self._ends[number + 1]]))
        return Source(key, label, os.path.join(self._folder, key))


@dataclass(frozen=True)
class ClassFolder:
    """A folder with one sub-folder a class: `wnids` in label order (sorted), its pictures, and what was passed over."""

    wnids: tuple[str, ...]
    pictures: FileList
    missing: tuple[str, ...]  # classes given by the caller that have no picture here
    ignored: int  # files of other kinds or outside the class folders


def class_folder(folder: PathLike, wnids: Sequence[str] | None = None) -> ClassFolder:
    """List a folder with one sub-folder a class, at any depth below it; hidden files are passed over.

    `wnids` are the classes of the training split, in label order; without them the folder's own, sorted, are used.
    Raises :class:`SourceError` when there are no pictures, when a class folder of the training split has none, or
    when there is a class that is not in `wnids`.
    """
    entries = _entries(folder)
    found = {name for name, is_folder in entries if is_folder}
    training = wnids is None
    if wnids is None:
        wnids = sorted(found)
    else:
        foreign = sorted(found.difference(wnids))
        if foreign:
            raise SourceError(f"{folder}: classes that the training split lacks: {_some(foreign)}")
    pictures = FileList(folder)
    ignored = len(entries) - len(found)
    empty = []
    for label, wnid in enumerate(wnids):
        before = len(pictures)
        if wnid in found:
            for key in _walk(os.path.join(folder, wnid), wnid, ()):
                if key.lower().endswith(EXTENSIONS):
                    pictures.append(key, label)
                else:
                    ignored += 1
        if len(pictures) == before:
            empty.append(wnid)
    if not len(pictures):
        raise SourceError(
            f"{folder}: no pictures ({', '.join(EXTENSIONS)}) in sub-folders; each class needs a folder of its own"
        )
    if empty and training:
        raise SourceError(f"{folder}: class folders without a picture: {_some(empty)}; fill or remove them")
    return ClassFolder(tuple(wnids), pictures, tuple(empty), ignored)


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
        raise SourceError(f"{folder}: not a folder; name one with a sub-folder a class") from error
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
