"""Proof that a data set is what was packed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.reading import verify as reading

from .progress import ImageProgress, silent

DUPLICATES_NAMED = 10  # of the images that are in train, too


@dataclass
class Verification:
    """What :func:`verify` found. ``problems``: a sentence for each thing that is wrong; none: all is as packed."""

    data: Path
    images: dict[str, int]  # of each split
    problems: list[str]
    also_in_train: dict[str, int]  # images of each split that training images equal; none are known with problems
    duplicates: list[str] = field(default_factory=list)  # the first of these images: "val: KEY is train's KEY"
    seconds: float = 0.0


def verify(data: str | os.PathLike[str], workers: int | None = None, progress: ImageProgress = silent) -> Verification:
    """Read all of a data set and check everything: digests, records, images, counts, and the statistics again.

    workers: threads (default: one per core). progress(total, what): around the work; gives a function of the number of
    images read. Raises InvalidRequest where there is no data set, DatasetError where its manifest cannot be read.
    """
    began = time.monotonic()
    splits = read_manifest(data).splits
    found = Verification(Path(data), {one.name: one.images for one in splits}, [], {one.name: 0 for one in splits})

    def count(split: str, key: str, original: str) -> None:
        found.also_in_train[split] += 1
        if len(found.duplicates) < DUPLICATES_NAMED:
            found.duplicates.append(f"{split}: {key} is train's {original}")

    with progress(sum(found.images.values()), "verify") as bar:
        found.problems += map(str, reading.verify(data, workers, bar, count))
    found.seconds = time.monotonic() - began
    return found
