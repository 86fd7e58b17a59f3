"""Test error as the paper measures it (Sec. 4.1, 6): views, their mean softmax, top-1 and top-5."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .augmentation import crop_views
from .errors import FailedWork, WrongUse


@dataclass(frozen=True)
class Score:
    """How many pictures were counted, and for how many the label is not among the first guesses."""

    views: int
    images: int
    top1_wrong: int
    top5_wrong: int

    @property
    def top1(self) -> float:
        """Top-1 error, per cent."""
        return 100 * self.top1_wrong / self.images

    @property
    def top5(self) -> float:
        """Top-5 error, per cent."""
        return 100 * self.top5_wrong / self.images


def evaluate(
    classify: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    views: Sequence[int] = (10, 1),
    report: Callable[[int], None] = lambda images: None,
) -> list[Score]:
    """Errors over all pictures of ``batches``, each counted once, for each number of views.

    classify: uint8 (M, size, size, 3) → probabilities (M, classes). batches: of (pictures uint8
    (N, 256, 256, 3), labels (N,), ids (N,)). report: called with the number of pictures after each batch.
    Raises FailedWork where a probability is not a number, or where there are no pictures, WrongUse where they
    have no labels (below 0).
    """
    images, wrong = 0, np.zeros((len(views), 2), np.int64)
    for pictures, labels, ids in batches:
        if np.any(np.asarray(labels) < 0):
            raise WrongUse("The pictures of this split have no public labels, so there is no error to measure.")
        for index, probabilities in enumerate(view_probabilities(classify, pictures, size, views)):
            bad = ~np.isfinite(probabilities).all(axis=1)
            if bad.any():
                raise FailedWork(
                    f"The network's output for record {ids[bad][0]} is not a number; its weights are of no use."
                )
            ranks = label_ranks(probabilities, labels)
            wrong[index] += [(ranks >= 1).sum(), (ranks >= 5).sum()]
        images += len(pictures)
        report(len(pictures))
    if not images:
        raise FailedWork("There is not one picture to evaluate.")
    return [Score(count, images, int(top1), int(top5)) for count, (top1, top5) in zip(views, wrong)]


def view_probabilities(classify, pictures, size, views):
    """Mean softmax (N, classes) over the views, for each number of views asked for; each view is computed once."""
    most = max(views)
    stack = crop_views(pictures, size, most)
    outputs = classify(stack.reshape(-1, size, size, 3)).reshape(len(pictures), most, -1)
    centre = 4 if most == 10 else 0  # the place of the centre view among the ten
    return [outputs.mean(axis=1) if count == most else outputs[:, centre] for count in views]


def label_ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label, (N,); of equal probabilities the lower class comes first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return np.argmax(order == np.asarray(labels)[:, None], axis=1)
