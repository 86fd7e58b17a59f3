"""ILSVRC's files, or images in class folders, as one shuffled and verified data set (Sec. 2)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from gluon_alexnet.recordio.dataset.manifest import ClassInfo, read_manifest
from gluon_alexnet.recordio.packing.pack import PackOptions
from gluon_alexnet.recordio.packing.pack import pack as pack_sources
from gluon_alexnet.recordio.sources.class_folders import class_folder, split_half
from gluon_alexnet.recordio.sources.ilsvrc import find_ilsvrc

from ..errors import InvalidRequest, OperationFailed
from .default_paths import DATA_DEFAULT, folder_of_year
from .progress import silent

MISSING_SHOWN = 10  # classes named when val or test has no image of them

PathName = Optional["str | os.PathLike[str]"]
Progress = Callable[[str, str], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True)
class PackReport:
    """What :func:`pack` did."""

    data: Path
    packed: dict[str, int]  # images of each split
    rejected: int  # images that cannot be read; rejected.tsv names them
    resumed: int  # images that an earlier call had done
    ignored: int  # files that are not named like images
    seconds: float
    also_in_train: dict[str, int | None]  # images of each split that training images equal; None: not known
    images: dict[str, int]  # of each split in the whole data set; of one part alone, nothing


def pack(
    *,
    train: PathName = None,
    val: PathName = None,
    test: PathName = None,
    out: PathName = None,
    ilsvrc: int | None = None,
    source: PathName = None,
    half_as_val: int | None = None,
    allow_missing: bool = False,
    report: Callable[[str], None] = lambda sentence: None,
    progress: Progress = silent,
    **options: Any,
) -> PackReport:
    """Make a data set of 256×256 images and their statistics: the mean image and the colours' axes (Sec. 2, 4.1).

    train, val, test: a folder or nXXXXXXXX.tar per class, or a tar of such. ilsvrc: 2010 or 2012, whose official files
    are found in the folder ``source``. half_as_val: a seed; half of the training images become val (the paper's split
    of Fall 2009). out: the new folder (default: data/ilsvrc2012, or the year's). allow_missing: pack what is there of
    an incomplete download. report: called with sentences about what is missing. progress(unit, label): around scanning
    and packing; gives a function of the number done, whose first call tells the total, ``of``. options: seed, workers,
    shards, encoding ("jpeg", "raw"), on_bad ("skip", "fail"), small ("scale", "centre"), overwrite, resume, part,
    cluster, as :class:`gluon_alexnet.recordio.packing.pack.PackOptions` says.

    Tars are read where they are. Killed at any moment, the same call with ``resume=True`` ends with the same bytes.
    Raises InvalidRequest for wrong use; :class:`gluon_alexnet.recordio.dataset.manifest.SourceError` for sources that
    cannot be packed, and DatasetError where writing fails or, with on_bad="fail", at the first unreadable image.
    """
    how = PackOptions(**options)
    _check(ilsvrc, source, (train, val, test), half_as_val)
    out = Path(out) if out is not None else folder_of_year(ilsvrc) if ilsvrc else DATA_DEFAULT
    given = {name: place for name, place in (("train", train), ("val", val), ("test", test)) if place is not None}
    if ilsvrc and source:
        splits, classes, ignored = _challenge(ilsvrc, source, allow_missing, report, progress)
    else:
        splits, classes, ignored = _folders(given, half_as_val, allow_missing, report, progress)
    with progress("images", "pack") as update:
        done = pack_sources(splits, classes, out, how, update)
    whole = how.part == (1, 1)
    found = read_manifest(out).splits if whole else []
    return PackReport(
        out,
        dict(done.packed),
        done.rejected,
        done.resumed,
        ignored,
        done.seconds,
        {split.name: split.also_in_train for split in found},
        {split.name: split.images for split in found},
    )


def _check(year: int | None, source: PathName, folders: Sequence[PathName], half_as_val: int | None) -> None:
    train, val, _ = folders
    if year and not source:
        raise InvalidRequest("`ilsvrc` needs `source`, the folder with the downloaded files.")
    if year and (any(folders) or half_as_val is not None):
        raise InvalidRequest("`ilsvrc` finds its splits in `source`; leave `train`, `val`, `test`, `half_as_val` out.")
    if source and not year:
        raise InvalidRequest("`source` goes with `ilsvrc`, 2012 or 2010; which is it?")
    if not year and not train:
        raise InvalidRequest("Say what to pack: `ilsvrc` and `source`, or `train` and `val`.")
    if not year and (val is None) == (half_as_val is None):
        raise InvalidRequest("Give `val`, or `half_as_val`, a seed, to take half of `train` for it.")


def _challenge(
    year: int, source: str | os.PathLike[str], allow_missing: bool, report: Callable[[str], None], progress: Progress
) -> tuple[Any, list[ClassInfo], int]:
    with progress("classes", "scan") as update:
        found = find_ilsvrc(year, os.fspath(source), allow_missing, update)
    for sentence in (*found.notes, *found.missing):
        report(sentence)
    return found.splits, found.classes, found.ignored


def _folders(
    places: Mapping[str, str | os.PathLike[str]],
    half_as_val: int | None,
    allow_missing: bool,
    report: Callable[[str], None],
    progress: Progress,
) -> tuple[Any, list[ClassInfo], int]:
    folders = {}
    with progress("classes", "scan") as update:
        folders["train"] = class_folder(os.fspath(places["train"]), allow_empty=allow_missing, progress=update)
    wnids = folders["train"].wnids
    for name in [one for one in ("val", "test") if one in places]:
        folders[name] = class_folder(os.fspath(places[name]), wnids)
        missing = folders[name].missing
        if missing:
            more = f" and {len(missing) - MISSING_SHOWN} more" if len(missing) > MISSING_SHOWN else ""
            shown = ", ".join(missing[:MISSING_SHOWN])
            report(f"{places[name]}: no images of {len(missing)} classes: {shown}{more}")
    splits = {name: folder.images for name, folder in folders.items()}
    if half_as_val is not None:
        splits["train"], splits["val"] = split_half(splits["train"], half_as_val)
    return splits, _named(wnids), sum(folder.ignored for folder in folders.values())


def _named(wnids: Sequence[str]) -> list[ClassInfo]:
    """Readable names, where all classes are ones of ILSVRC-2012."""
    if not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids):
        return [ClassInfo(wnid, wnid) for wnid in wnids]
    try:
        from ..backend import gluoncv

        attributes = gluoncv.data.ImageNet1kAttr()
    except OperationFailed:  # a machine that only packs may lack what MXNet needs
        return [ClassInfo(wnid, wnid) for wnid in wnids]
    names = dict(zip(attributes.synset, attributes.classes))
    known = all(wnid in names for wnid in wnids)
    return [ClassInfo(wnid, names[wnid] if known else wnid) for wnid in wnids]
