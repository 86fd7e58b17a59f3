"""ILSVRC's development kits: the classes, their images' counts, and the labels of validation and test images."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from gluon_alexnet.safe_files import read_bytes

from ..dataset.manifest import ClassInfo, SourceError
from .tar_index import read_small

_META = "data/meta.mat"
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Devkit:
    """What a kit says. Labels are places of the sorted wnids; the kit's own numbers count from 1 in another order."""

    where: Path
    classes: tuple[ClassInfo, ...]  # in label order
    train_images: tuple[int, ...]  # training images of each class, in label order
    validation: np.ndarray  # int64 (images,): label of the validation image with file number place + 1

    def labels(self, text: bytes, where: object) -> np.ndarray:
        """Labels, int64 (lines,), of a ground-truth file: one of the kit's numbers a line, by file number.

        Raises :class:`SourceError` when a line is no number of a class.
        """
        label_of = {str(info.devkit_id).encode(): label for label, info in enumerate(self.classes)}
        try:
            return np.array([label_of[line.strip()] for line in text.strip().splitlines()], np.int64)
        except KeyError as error:
            raise SourceError(
                f"{where}: a line says {error.args[0][:20]!r}, not a number from 1 to {len(self.classes)}; "
                "download it again"
            ) from error


def read_devkit(where: Path, year: int) -> Devkit:
    """Read a development kit, packed (.tar.gz, .tar) or unpacked.

    Raises :class:`SourceError` when a file is missing or damaged.
    """
    truth = f"data/ILSVRC{year}_validation_ground_truth.txt"
    files = _unpacked(where, (_META, truth)) if where.is_dir() else read_small(where, (_META, truth))
    for name in (_META, truth):
        if name not in files:
            raise SourceError(f"{where}: no {name} in it; download the development kit again")
    classes, train_images = _classes(files[_META], year, f"{where}: {_META}")
    kit = Devkit(where, classes, train_images, np.empty(0, np.int64))
    return Devkit(where, classes, train_images, kit.labels(files[truth], f"{where}: {truth}"))


def _unpacked(where: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for name in names:
        for folder in (where, *sorted(where.glob("*/"))):  # some programs unpack into one more folder
            if (folder / name).is_file():
                try:
                    found[name] = read_bytes(folder / name)
                except OSError as error:
                    raise SourceError(f"{folder / name}: {error.strerror}") from error
                break
    return found


def _classes(content: bytes, year: int, where: str) -> tuple[tuple[ClassInfo, ...], tuple[int, ...]]:
    try:
        synsets = np.atleast_1d(loadmat(io.BytesIO(content), squeeze_me=True)["synsets"])
        rows = sorted(
            (
                str(synset["WNID"]),
                str(synset["words"]),
                int(synset[f"ILSVRC{year}_ID"]),
                int(synset["num_train_images"]),
            )
            for synset in synsets
            if int(synset["num_children"]) == 0  # the others are groups of classes, for the hierarchical error
        )
    except Exception as error:  # SciPy raises a dozen kinds for damaged files
        raise SourceError(f"{where}: damaged, or not the kit of {year}; download it again") from error
    if [number for _, _, number, _ in sorted(rows, key=lambda row: row[2])] != list(range(1, len(rows) + 1)):
        raise SourceError(f"{where}: the classes are not numbered 1 to {len(rows)}; download it again")
    if not rows or not all(_WNID.fullmatch(wnid) for wnid, *_ in rows) or len({wnid for wnid, *_ in rows}) != len(rows):
        raise SourceError(f"{where}: classes without a WordNet id of their own; download it again")
    return tuple(ClassInfo(wnid, words, number) for wnid, words, number, _ in rows), tuple(row[3] for row in rows)
