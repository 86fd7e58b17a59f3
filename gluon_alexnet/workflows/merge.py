"""Parts that were packed apart, as one data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.packing.merge import merge as merge_parts


@dataclass(frozen=True)
class MergeReport:
    """What :func:`merge` did."""

    data: Path
    packed: dict[str, int]  # images of each split
    rejected: int  # images that cannot be read; rejected.tsv names them
    also_in_train: dict[str, int | None]  # images of each split that training images equal; None: not known
    linked: list[Path]  # parts on another file system: the data set holds links into them, so they must stay
    seconds: float


def merge(parts: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], overwrite: bool = False) -> MergeReport:
    """Join all parts of one pack into a data set; its bytes are those of a pack in one go.

    Raises InvalidRequest when a folder is no part, parts are missing, given twice or of different packs, or ``out`` is
    in use; DatasetError when a part is damaged or a split has no readable image.
    """
    done, linked = merge_parts(parts, out, overwrite)
    shared = {split.name: split.also_in_train for split in read_manifest(out).splits}
    return MergeReport(Path(out), done.packed, done.rejected, shared, linked, done.seconds)
