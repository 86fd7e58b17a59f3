"""Parts of a data set that were packed apart become one, as if packed at once; shards are linked, not copied."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..dataset.manifest import DatasetError, PathLike, SourceError
from .finalize import Report, publish
from .plan import PART, SUFFIXES, Plan, read_plan
from .shard_writer import is_whole, read_receipt
from .staging import StagingArea


def merge(parts: Sequence[PathLike], out: PathLike, overwrite: bool = False) -> tuple[Report, list[Path]]:
    """Join all parts of one pack into a data set; its bytes are those of a pack in one go.

    Shards get a second name (a hard link) where file systems allow it, and a symbolic link elsewhere. Returns the
    report and the parts that symbolic links point into, which must stay.

    Raises :class:`SourceError` when a folder is no part, parts are missing, given twice or of different packs, or `out`
    is in use; :class:`DatasetError` when a part is damaged or a split has no readable image.
    """
    began = time.monotonic()
    first: Plan | None = None
    folders: dict[int, Path] = {}
    for folder in map(Path, parts):
        try:
            plan = read_plan(folder / PART)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceError(f"{folder}: no finished part of a data set; pack it with `part`, to its end") from error
        part, count = plan.part
        first = first or plan
        if plan.sha256 != first.sha256:
            raise SourceError(f"{folder}: packed from other images, or with other options, than {parts[0]}")
        if count != first.part[1]:
            raise SourceError(f"{folder}: one of {count} parts, and {parts[0]} is one of {first.part[1]}")
        if part in folders:
            raise SourceError(f"{folder}: part {part}/{count} again, {folders[part]} holds it too; leave one out")
        _check(folder, plan)
        folders[part] = folder
    if first is None:
        raise SourceError("no parts to merge; name their folders")
    lacking = [f"{part}/{first.part[1]}" for part in range(1, first.part[1] + 1) if part not in folders]
    if lacking:
        raise SourceError(f"part {', '.join(lacking)} is missing; pack it and name its folder too")
    whole = replace(first, part=(1, 1))
    # A merge that was killed is simply done again, and one that fails leaves nothing: links are quickly made.
    staging = StagingArea(out, whole, overwrite, resume=not overwrite, keep=False)
    stay: list[Path] = []
    with staging:
        if staging.complete:
            raise SourceError(f"{out}: holds a data set already; add `overwrite` to replace it")  # parts may be newer
        for part, folder in sorted(folders.items()):
            linked = _link(folder, replace(first, part=(part, first.part[1])), staging.folder)
            stay += [] if linked else [folder]
        packed, rejected = publish(whole, staging)
    return Report(packed, rejected, 0, time.monotonic() - began), stay


def _check(folder: Path, plan: Plan) -> None:
    for split in plan.splits:
        for stem in plan.stems(split):
            shard = read_receipt(folder / (stem + ".receipt")).shard
            if shard.name != stem + ".rec" or not is_whole(folder, shard):
                raise DatasetError(f"{folder / stem}: cut, changed or missing; pack that part again with `overwrite`")


def _link(folder: Path, plan: Plan, into: Path) -> bool:
    """Give a part's shards their names in the new data set; False when a symbolic link was needed."""
    stems = [stem for split in plan.splits for stem in plan.stems(split)]
    names = [stem + suffix for stem in stems for suffix in SUFFIXES]
    return all([_link_file((folder / name).resolve(strict=True), into / name) for name in names])


def _link_file(old: Path, new: Path) -> bool:
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
        return True
    except OSError:  # another file system, or one without hard links
        new.symlink_to(old)
        return False
