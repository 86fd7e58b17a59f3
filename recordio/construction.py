"""A data set while it is being written: in a sub-folder of its place, moved up when all of it is complete."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path

from .dataset import (
    MANIFEST,
    REJECTED,
    STATISTICS,
    DatasetError,
    Manifest,
    PathLike,
    SourceError,
    read_manifest,
    write_manifest,
)

# Below the data set's folder and not beside it: that folder may be a disk of its own.
FOLDER = "packing.partial"
_OURS = re.compile(
    rf"(\w+-\d{{5,}}-of-\d{{5,}}\.(rec|idx|keys)|{re.escape(MANIFEST)}|{re.escape(STATISTICS)}|{REJECTED})"
    r"(\.partial)?"
)


class Construction:
    """Context manager: claims `out`, gives `folder` to write into, and leaves nothing behind unless published.

    Raises :class:`SourceError` when `out` holds a data set and `overwrite` is not given, when it holds other files, or
    when another process packs into it.
    """

    def __init__(self, out: PathLike, overwrite: bool = False) -> None:
        self.out = Path(out)
        self.folder = self.out / FOLDER
        self._old = _existing(self.out, overwrite)
        self._made: list[Path] = []
        self._directory = -1

    def __enter__(self) -> Construction:
        self._made = [path for path in (self.out, *self.out.parents) if not path.exists()]
        self.out.mkdir(parents=True, exist_ok=True)
        self._directory = os.open(self.out, os.O_RDONLY)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.folder.mkdir(exist_ok=True)
            self._clear()  # whoever left something here was killed: the lock is ours
        except BaseException as error:
            os.close(self._directory)
            if isinstance(error, BlockingIOError):
                raise SourceError(f"{self.out}: another pack is writing there; wait or name another folder") from error
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self._clear()
        self.folder.rmdir()
        os.close(self._directory)
        if failure[0] is not None:
            with suppress(OSError):  # not empty: someone else put a file there meanwhile
                for path in self._made:
                    path.rmdir()

    def publish(self, manifest: Manifest) -> None:
        """Move the finished files to their names, `dataset.json` last; an older data set's files go."""
        write_manifest(self.folder, manifest)
        new = manifest.files()
        if self._old is not None:
            (self.out / MANIFEST).unlink()
        for name in new:
            os.replace(self.folder / name, self.out / name)
        for name in set(self._old.files() if self._old else ()).difference(new):
            (self.out / name).unlink(missing_ok=True)
        os.fsync(self._directory)

    def _clear(self) -> None:
        names = os.listdir(self.folder)
        for name in names:
            if not _OURS.fullmatch(name):
                raise SourceError(f"{self.folder / name}: not a file of ours; move it away, packing needs that folder")
        for name in names:
            (self.folder / name).unlink()


def _existing(out: Path, overwrite: bool) -> Manifest | None:
    """The data set that lies at `out` and is to be replaced, or None when nothing is there."""
    try:
        names = {name for name in os.listdir(out) if not name.startswith(".")} - {FOLDER, "lost+found"}
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise SourceError(f"{out}: a file, not a folder; name another place for the data set") from error
    if not names:
        return None
    if MANIFEST not in names:
        raise SourceError(f"{out}: holds other files ({min(names)}, …); name a new or empty folder")
    if not overwrite:
        raise SourceError(f"{out}: holds a data set already; name another folder, or add --overwrite to replace it")
    try:
        return read_manifest(out)
    except DatasetError as error:
        raise SourceError(f"{error}. It is not replaced, because it may not be ours: remove {out} yourself") from error
