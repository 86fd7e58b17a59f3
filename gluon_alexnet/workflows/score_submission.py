"""The challenge's own file of results, by the development kit's rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluon_alexnet.recordio.sources.ilsvrc_devkit import read_devkit
from gluon_alexnet.recordio.sources.ilsvrc_submission import flat_errors, kit_numbers, read_submission

from ..errors import InvalidRequest
from ..safe_files import read_bytes


@dataclass(frozen=True)
class SubmissionScore:
    """``errors``: the kit's flat error, the share of images whose class is not among the first 1, 2, … guesses."""

    errors: tuple[float, ...]
    images: int  # each counted once


def score_submission(file: Path, kit: Path, year: int = 2012, truth: Path | None = None) -> SubmissionScore:
    """Score a submission file, five classes per image, against a ground truth.

    kit: the development kit of that year's challenge (2010 or 2012), packed or unpacked. truth: the ground truth of
    another split than validation, whose own is in the kit. Raises InvalidRequest for what is no such file or kit.
    """
    if not kit.exists():
        raise InvalidRequest(f"{kit}: no such file or folder; name the development kit")
    found = read_devkit(kit, year)
    labels = found.labels(read_bytes(truth), truth) if truth else found.validation
    numbers = np.array(kit_numbers(found.classes))[labels]
    errors = flat_errors(read_submission(file, len(found.classes)), numbers, file)
    return SubmissionScore(tuple(map(float, errors)), len(numbers))
