"""Top-1 and top-5 error, counted image by image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidRequest, OperationFailed


@dataclass(frozen=True)
class Score:
    """How many images were counted, and for how many the label is not among the first guesses."""

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


class ErrorCounter:
    """Errors counted batch by batch: in all, of each class, and of each pair of classes."""

    def __init__(self, views: int, classes: int) -> None:
        self._views = views
        self._classes = np.zeros((3, classes), np.int64)  # images, top-1 wrong, top-5 wrong
        self._pairs: Counter[tuple[int, int]] = Counter()

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count N images: probabilities (N, classes), labels (N,) int. Raises InvalidRequest for a label below 0."""
        labels = np.asarray(labels)
        if np.any(labels < 0):
            raise InvalidRequest("The images of this split have no public labels, so there is no error to measure.")
        ranks = label_ranks(probabilities, labels)
        for row, counted in enumerate((ranks >= 0, ranks >= 1, ranks >= 5)):
            self._classes[row] += np.bincount(labels[counted], minlength=self._classes.shape[1])
        wrong = ranks >= 1
        self._pairs.update(zip(labels[wrong].tolist(), probabilities[wrong].argmax(axis=1).tolist()))

    @property
    def score(self) -> Score:
        """All images. Raises OperationFailed where there was none."""
        images, top1, top5 = (int(count) for count in self._classes.sum(axis=1))
        if not images:
            raise OperationFailed("There is not one image to evaluate.")
        return Score(self._views, images, top1, top5)

    def class_scores(self) -> list[Score]:
        """The same for the images of each class, in label order; a class without images has ``images`` 0."""
        return [Score(self._views, *(int(count) for count in column)) for column in self._classes.T]

    def confusion(self) -> np.ndarray:
        """Images by true class (row) and first guess (column), int64 (classes, classes)."""
        counts = np.diag(self._classes[0] - self._classes[1])
        for (label, guess), images in self._pairs.items():
            counts[label, guess] += images
        return counts

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """(label, first guess, images) of the pairs of classes that were taken for each other most often."""
        ordered = sorted(self._pairs.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(label, guess, images) for (label, guess), images in ordered[:count]]


def label_ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label, (N,); of equal probabilities the lower class comes first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return np.argmax(order == np.asarray(labels)[:, None], axis=1)


def best_classes(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` most probable classes, the best first, int64 (N, count); ties as in :func:`label_ranks`."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
