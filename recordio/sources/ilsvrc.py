"""ILSVRC-2010 and -2012 as they are downloaded: official tars, or the same unpacked, and the kit (paper Sec. 2)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gluon_alexnet.safe_files import read_bytes

from ..dataset.manifest import UNLABELLED, ClassInfo, PathLike, SourceError
from .class_folders import ImageList, Scanned, Source, class_folder
from .ilsvrc_devkit import Devkit, read_devkit
from .tar_index import NO_FILE, members


class _Layout(NamedTuple):
    """Names to look for, the official one first; tars come before the same files unpacked."""

    devkit: tuple[str, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    test_truth: str | None
    patches: tuple[str, ...]


_LAYOUTS = {
    2010: _Layout(
        ("ILSVRC2010_devkit-1.0.tar.gz", "ILSVRC2010_devkit-1.0.tar", "ILSVRC2010_devkit-1.0", "devkit-1.0"),
        ("ILSVRC2010_images_train.tar", "ILSVRC2010_images_train", "train"),
        ("ILSVRC2010_images_val.tar", "ILSVRC2010_images_val", "val"),
        ("ILSVRC2010_images_test.tar", "ILSVRC2010_images_test", "test"),
        "ILSVRC2010_test_ground_truth.txt",
        ("patch_images.tar", "patch_images"),
    ),
    2012: _Layout(
        ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12"),
        ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_train", "train"),
        ("ILSVRC2012_img_val.tar", "ILSVRC2012_img_val", "val"),
        ("ILSVRC2012_img_test.tar", "ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test", "test"),
        None,
        (),
    ),
}
YEARS = tuple(_LAYOUTS)


@dataclass
class Images:
    """What was found: lists to pack, classes in label order, and sentences on what is remarkable or missing."""

    classes: tuple[ClassInfo, ...]
    splits: dict[str, ImageList] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ignored: int = 0


def find_ilsvrc(year: int, source: PathLike, allow_missing: bool = False, progress: Scanned | None = None) -> Images:
    """List the images of a year's challenge in the folder `source`, and hold their counts against the kit's.

    Labels are places of the sorted wnids. Validation and test images get theirs by the number in the file name; the
    test images of 2012 have none (-1). The patch images of 2010 take the place of the images they replace.

    Raises :class:`SourceError` when the kit or the training images are not there, a tar is damaged or cut, or
    images are missing: with `allow_missing` the last is only said.
    """
    folder, layout = Path(source), _LAYOUTS[year]
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; name the one that holds the downloaded files")
    kit = read_devkit(_need(folder, layout.devkit, "the classes and the labels are in it"), year)
    found = Images(kit.classes)
    train = _need(folder, layout.train, "the training images are in it")
    listed = class_folder(
        train, [c.wnid for c in kit.classes], whose="the development kit", allow_empty=True, progress=progress
    )
    found.splits["train"] = listed.images
    found.ignored += listed.ignored
    _compare(kit, train, listed.images, found)
    _val_and_test(year, folder, layout, kit, found)
    patches = _first(folder, layout.patches)
    if patches is not None:
        _patch(patches, found)
    elif layout.patches:
        found.notes.append(f"{folder}: no {layout.patches[0]}, which replaces images that came out blank")
    if found.missing and not allow_missing:
        raise SourceError("; ".join(found.missing) + "; complete them, or pack what is there with `allow_missing`")
    return found


def _val_and_test(year: int, folder: Path, layout: _Layout, kit: Devkit, found: Images) -> None:
    val = _first(folder, layout.val)
    if val is None:
        found.missing.append(f"{folder}: no {layout.val[0]}")
    else:
        _numbered(year, "val", val, kit.validation, found)
    test = _first(folder, layout.test)
    if test is None:
        found.notes.append(f"{folder}: no {layout.test[0]}; packed without a test split")
        return
    labels = None
    if layout.test_truth:
        truth = _first(folder, (layout.test_truth, *(f"{name}/data/{layout.test_truth}" for name in layout.devkit)))
        if truth is None:
            found.missing.append(f"{folder}: no {layout.test_truth}, and without it test images have no labels")
        else:
            labels = kit.labels(read_bytes(truth), truth)
    _numbered(year, "test", test, labels, found)


def _numbered(year: int, split: str, place: Path, labels: Sequence[int] | np.ndarray | None, found: Images) -> None:
    """Images whose labels go by the number in their name, in the order of the numbers."""
    name = re.compile(rf"ILSVRC{year}_{split}_(\d{{8}})\.JPEG", re.IGNORECASE)
    files: dict[int, Source] = {}
    for base, path, offset, size in _files(place):
        match = name.fullmatch(base)
        if match is None:
            found.ignored += 1
            continue
        number = int(match[1])
        if number in files:
            raise SourceError(f"{place}: {base} is there twice; remove one")
        if labels is not None and not 1 <= number <= len(labels):
            raise SourceError(
                f"{place}: {base}, but the ground truth ends with number {len(labels)}; download both again"
            )
        label = UNLABELLED if labels is None else int(labels[number - 1])
        files[number] = Source(base, label, path, offset, size)
    if not files:
        raise SourceError(f"{place}: no ILSVRC{year}_{split}_….JPEG in it; download it again")
    count = max(files) if labels is None else len(labels)
    lacking = [number for number in range(1, count + 1) if number not in files]
    if lacking:
        found.missing.append(
            f"{place}: {len(lacking)} of {count} images are missing, the first is "
            f"ILSVRC{year}_{split}_{lacking[0]:08d}.JPEG"
        )
    images = found.splits[split] = ImageList()
    for number in sorted(files):
        images.append(files[number])


def _compare(kit: Devkit, train: PathLike, images: ImageList, found: Images) -> None:
    counts = np.bincount(images.labels(), minlength=len(kit.classes))
    differing = [
        f"{info.wnid} ({count} of {expected})"
        for info, count, expected in zip(kit.classes, counts, kit.train_images)
        if count != expected
    ]
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        found.missing.append(
            f"{train}: {len(images)} images where the development kit counts {sum(kit.train_images)}; "
            f"{len(differing)} classes differ: {', '.join(differing[:5])}{more}"
        )


def _patch(place: Path, found: Images) -> None:
    """Let each patch image take the place of the image of its name and split."""
    patches: dict[str, dict[str, tuple[str, int, int]]] = {split: {} for split in found.splits}
    unused = 0
    for base, path, offset, size in _files(place, keep_folders=True):
        folders, _, base = base.rpartition("/")
        split = next((name for name in folders.split("/") if name in patches), None)
        if split is None or offset in NO_FILE:
            unused += 1
        else:
            patches[split][base] = (path, offset, size)
    replaced = 0
    for split, images in found.splits.items():
        waiting = patches[split]
        for number, source in enumerate(images if waiting else ()):
            patch = waiting.pop(source.key.rpartition("/")[2], None)
            if patch is not None:
                images.replace(number, *patch)
                replaced += 1
        unused += len(waiting)
    found.ignored += unused
    found.notes.append(f"{place}: {replaced} images replaced" + (f", {unused} replace none" if unused else ""))


def _files(place: Path, keep_folders: bool = False) -> Iterator[tuple[str, str, int, int]]:
    """(name, path, offset, size) of each file in a tar or below a folder; hidden ones are passed over."""
    if place.is_file():
        for member in members(place):
            base = member.name.rpartition("/")[2]
            if not base.startswith("."):
                yield (member.name if keep_folders else base), os.fspath(place), member.offset, member.size
        return
    for folder, _, names in os.walk(place, followlinks=False):
        for base in names:
            if not base.startswith("."):
                path = os.path.join(folder, base)
                yield (os.path.relpath(path, place) if keep_folders else base), path, -1, 0


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)


def _need(folder: Path, names: tuple[str, ...], why: str) -> Path:
    found = _first(folder, names)
    if found is None:
        raise SourceError(f"{folder}: no {names[0]}, nor it unpacked ({names[-1]}); {why}: download it there")
    return found
