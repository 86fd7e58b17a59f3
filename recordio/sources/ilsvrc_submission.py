"""ILSVRC's own file of results, and its score by the development kit's rules (readme, "Submission and evaluation").

One line an image, in the order of the numbers in the images' names; on it up to five classes by the kit's own
numbers (which count from 1), the most confident first, with spaces between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.safe_files import read_bytes

from ..dataset.manifest import ClassInfo, DatasetError, SourceError

GUESSES = 5

_NAME = re.compile(r"(?:.*/)?ILSVRC\d{4}_(?:val|test)_(\d{8})\.JPEG", re.IGNORECASE)


class Submission:
    """Collects guesses for images in any order, and writes them in the challenge's.

    `keys`: of all images, as in the data set; an image's place in them is its id. Raises :class:`SourceError` when
    the classes have no numbers of a kit, a key is no name of the challenge, or images are missing.
    """

    def __init__(self, keys: Iterable[str], classes: Sequence[int | None]) -> None:
        if any(number is None for number in classes):
            raise SourceError(
                "the classes have no numbers of a development kit, so there is nothing to submit them to; "
                "pack the challenge's own files with `ilsvrc`"
            )
        self._classes = np.array(classes, np.int64)
        self._lines = _lines(keys)
        self._guesses = np.zeros((len(self._lines), min(GUESSES, len(classes))), np.int64)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, ids: np.ndarray, best: np.ndarray) -> None:
        """N images' best classes by label, the best first: ids int64 (N,), best int64 (N, 5 or all classes)."""
        self._guesses[self._lines[ids]] = self._classes[best]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; :class:`DatasetError` when images have no guesses yet."""
        lacking = np.flatnonzero(self._guesses[:, 0] == 0)
        if len(lacking):
            raise DatasetError(f"{path}: {len(lacking)} images have no guesses, the first is number {lacking[0] + 1}")
        text = "".join(" ".join(map(str, row)) + "\n" for row in self._guesses.tolist())
        write_bytes(path, text.encode("ascii"))


def _lines(keys: Iterable[str]) -> np.ndarray:
    """For each image its line, counted from 0: int64 (images,)."""
    numbers = []
    for key in keys:
        match = _NAME.fullmatch(key)
        if match is None:
            raise SourceError(
                f"{key} is not named like an image of the challenge (ILSVRC2012_val_00000001.JPEG), so its line in a "
                "submission is not known"
            )
        numbers.append(int(match[1]))
    found = np.array(numbers, np.int64)
    present = np.zeros(max(numbers, default=0) + 1, bool)
    present[found] = True
    lacking = np.flatnonzero(~present[1:]) + 1
    if len(lacking) or present[0] or len(set(numbers)) != len(numbers):
        first = f", the first of them number {lacking[0]}" if len(lacking) else ""
        raise SourceError(
            f"a submission needs each image from 1 to {len(present) - 1} once, and {len(lacking)} are not in the "
            f"data set{first}; pack them, too"
        )
    return found - 1


def read_submission(path: Path, classes: int) -> np.ndarray:
    """The guesses in a file of results, int64 (images, 5), the kit's numbers; 0 where a line has fewer.

    What a line has after five is passed over, as the kit does. Raises :class:`SourceError` that names the line where
    there is none, or something else than numbers from 1 to `classes`.
    """
    try:
        lines = read_bytes(path).splitlines()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if not lines:
        raise SourceError(f"{path}: an empty file; a submission has a line for each image")
    guesses = np.zeros((len(lines), GUESSES), np.int64)
    for row, line in enumerate(lines):
        words = line.split()
        numbers = [int(word) for word in words if word.isdigit() and len(word) < 10]
        if not words or len(numbers) != len(words) or not all(1 <= number <= classes for number in numbers):
            raise SourceError(
                f"{path}: line {row + 1} says {line[:40].decode('ascii', 'replace')!r}, not up to {GUESSES} numbers of "
                f"classes from 1 to {classes} with spaces between them"
            )
        guesses[row, : len(words)] = numbers[:GUESSES]
    return guesses


def flat_errors(guesses: np.ndarray, truth: np.ndarray, where: object) -> list[float]:
    """The kit's flat error with 1…5 guesses: the share of images whose class is not among the first of them.

    guesses: int64 (images, 5), truth: int64 (images,), both the kit's numbers. Raises :class:`SourceError` when
    they are of different lengths.
    """
    if len(guesses) != len(truth):
        raise SourceError(
            f"{where}: {len(guesses)} lines where the ground truth has {len(truth)}; are they of the same split?"
        )
    hit = guesses == truth[:, None]
    return [float(1 - hit[:, :count].any(axis=1).mean()) for count in range(1, GUESSES + 1)]


def kit_numbers(classes: Sequence[ClassInfo]) -> list[int | None]:
    """The kit's number of each class, in label order; None where the data set knows none."""
    return [info.devkit_id for info in classes]
