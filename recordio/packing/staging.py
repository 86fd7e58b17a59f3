"""A data set while it is written: in a sub-folder of its place, moved up when complete; a killed pack is continued."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gluon_alexnet import safe_json
from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.safe_files import read_bytes

from ..dataset.manifest import (
    MANIFEST,
    REJECTED,
    STATISTICS,
    DatasetError,
    PathLike,
    SourceError,
    read_manifest,
)
from .plan import PART, PLAN, Plan, read_plan, write_plan
from .shard_writer import PackedShard, is_whole, read_receipt

# Below the data set's folder and not beside it: that folder may be a disk of its own.
FOLDER = "packing.partial"
JOURNAL = "publish.json"  # from when it is there, the new files replace the old ones, whatever happens
_NAMED = (MANIFEST, STATISTICS, REJECTED, PLAN, PART, JOURNAL)
_OURS = re.compile(
    rf"\.?(\w+-\d{{5,}}-of-\d{{5,}}\.(rec|idx|keys|receipt)|{'|'.join(map(re.escape, _NAMED))})(\.partial|\.draft)?"
)


class StagingArea:
    """Context manager: claims `out` and gives `folder` to write the files of `plan` into.

    A pack that was killed is continued with `resume`: `finished(stem)` gives what it completed; `complete` is true
    when all had been done. Left by an exception, finished shards are kept for that (`kept`) unless `keep` is false.

    Raises :class:`SourceError` when `out` holds a data set and `overwrite` is not given, an unfinished pack and neither
    is given or the plan is another one, or other files; or when another process packs into it.
    """

    def __init__(
        self, out: PathLike, plan: Plan, overwrite: bool = False, resume: bool = False, keep: bool = True
    ) -> None:
        self.out = Path(out)
        self.folder = self.out / FOLDER
        self.complete = self.kept = False
        self._plan = plan
        self._overwrite, self._resume, self._keep = overwrite, resume, keep
        self._old: list[str] = []
        self._made: list[Path] = []
        self._directory = -1

    def __enter__(self) -> StagingArea:
        self._made = [path for path in (self.out, *self.out.parents) if not path.exists()]
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SourceError(f"{self.out}: a file, not a folder; name another place for the data set") from error
        self._directory = os.open(self.out, os.O_RDONLY)
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._replay()
            self._begin()
        except BaseException as error:
            self._close()
            if isinstance(error, BlockingIOError):
                raise SourceError(f"{self.out}: another pack is writing there; wait or name another folder") from error
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        names = os.listdir(self.folder)
        worth = JOURNAL in names or (self._keep and any(name.endswith(".receipt") for name in names))
        self.kept = failure[0] is not None and worth
        if not self.kept:
            self._clear()
            self.folder.rmdir()
        self._close()

    def finished(self, stem: str) -> PackedShard | None:
        """The shard of that name when it is already packed here, else None; what is half-written is removed."""
        try:
            packed = read_receipt(self.folder / (stem + ".receipt"))
            if packed.shard.name == stem + ".rec" and is_whole(self.folder, packed.shard):
                return packed
        except DatasetError:
            pass
        self.forget(stem)
        return None

    def forget(self, stem: str) -> None:
        """Remove a shard, its receipt first, so that it is packed again."""
        for suffix in (".receipt", ".rec", ".idx", ".keys"):
            (self.folder / (stem + suffix)).unlink(missing_ok=True)

    def publish(self, names: list[str]) -> None:
        """Move finished files to their place, the last of `names` last; the files of what was there before go."""
        journal = json.dumps({"new": names, "old": self._old})
        write_bytes(self.folder / JOURNAL, journal.encode("ascii"))
        self._replay()

    def _replay(self) -> None:
        """Do what the journal says; each step may have been done before a kill, and the last one removes it."""
        path = self.folder / JOURNAL
        try:
            journal = safe_json.parse(read_bytes(path))
            new, old = journal["new"], journal["old"]
            if not all(_OURS.fullmatch(name) for name in (*new, *old)):
                raise ValueError("a foreign name")
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{path}: damaged; remove {self.folder} and pack again") from error
        (self.folder / PLAN).unlink(missing_ok=True)
        if (self.folder / new[-1]).exists():  # until it is moved, the name in its place is the old one's
            for marker in (MANIFEST, PART):
                if marker in old:
                    (self.out / marker).unlink(missing_ok=True)
        for name in new:
            with suppress(FileNotFoundError):
                os.replace(self.folder / name, self.out / name)
        for name in set(old).difference(new):
            (self.out / name).unlink(missing_ok=True)
        os.fsync(self._directory)
        path.unlink()

    def _begin(self) -> None:
        there = _existing(self.out)
        unfinished = _read(read_plan, self.folder / PLAN)
        if self._resume and unfinished == self._plan:
            self._old = there or []  # replacing it was agreed to when that pack began
            return
        if unfinished is not None and not self._overwrite:
            if self._resume:
                what = "of other images or options; give it the same as before, or `overwrite` to start anew"
            else:
                what = "already; add `resume` to go on with it, or `overwrite` to start anew"
            raise SourceError(f"{self.out}: holds an unfinished pack {what}")
        self.complete = self._resume and there is not None and self._same(there)
        if there is not None and not self.complete and not self._overwrite:
            raise SourceError(
                f"{self.out}: holds a data set already; name another folder, or add `overwrite` to replace it"
            )
        self._old = there or []
        self.folder.mkdir(exist_ok=True)
        self._clear()  # whoever left something here was killed: the lock is ours
        if not self.complete:
            write_plan(self.folder / PLAN, self._plan)

    def _same(self, there: list[str]) -> bool:
        if PART in there:
            return read_plan(self.out / PART) == self._plan
        return self._plan.part == (1, 1) and read_manifest(self.out).plan_sha256 == self._plan.sha256

    def _clear(self) -> None:
        names = os.listdir(self.folder)
        for name in names:
            if not _OURS.fullmatch(name):
                raise SourceError(f"{self.folder / name}: not a file of ours; move it away, packing needs that folder")
        for name in sorted(names, key=lambda name: name != PLAN):  # without its plan, the rest is never resumed
            (self.folder / name).unlink()

    def _close(self) -> None:
        os.close(self._directory)
        for path in self._made:
            with suppress(OSError):  # not empty
                path.rmdir()


def _existing(out: Path) -> list[str] | None:
    """Names of the files of the data set or part at `out`, or None when nothing is there."""
    names = {name for name in os.listdir(out) if not name.startswith(".")} - {FOLDER, "lost+found"}
    if not names:
        return None
    try:
        if MANIFEST in names:
            return read_manifest(out).files()
        if PART in names:
            return read_plan(out / PART).part_files()
    except DatasetError as error:
        raise SourceError(f"{error}. It is not replaced, because it may not be ours: remove {out} yourself") from error
    raise SourceError(f"{out}: holds other files ({min(names)}, …); name a new or empty folder")


def _read(read: Callable[[Path], Plan], path: Path) -> Plan | None:
    try:
        return read(path)
    except (FileNotFoundError, DatasetError):
        return None
