"""Top-1 and top-5 error, counted image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidRequest, OperationFailed

_PENDING = 2**20  # wrong images that wait to be counted by pairs of classes


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
        self._pairs = _Pairs(classes)

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count N images: probabilities (N, classes), labels (N,) int. Raises InvalidRequest for a label below 0."""
        labels = np.asarray(labels)
        if np.any(labels < 0):
            raise InvalidRequest("The images of this split have no public labels, so there is no error to measure.")
        ranks = label_ranks(probabilities, labels)
        for row, counted in enumerate((ranks >= 0, ranks >= 1, ranks >= 5)):
            self._classes[row] += np.bincount(labels[counted], minlength=self._classes.shape[1])
        wrong = ranks >= 1
        self._pairs.add(labels[wrong], probabilities[wrong].argmax(axis=1))

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
        labels, guesses, images = self._pairs.counts()
        counts[labels, guesses] += images  # each pair is there once
        return counts

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """(label, first guess, images) of the pairs of classes that were taken for each other most often."""
        labels, guesses, images = self._pairs.counts()
        order = np.argsort(-images, kind="stable")[:count]  # the pairs are in order already
        return list(zip(*(column[order].tolist() for column in (labels, guesses, images))))


class _Pairs:
    """How often each class was taken for each other: seven million images of 21,841 classes make millions of pairs."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._codes, self._images = np.empty(0, np.int64), np.empty(0, np.int64)
        self._new: list[np.ndarray] = []
        self._pending = 0

    def add(self, labels: np.ndarray, guesses: np.ndarray) -> None:
        """Count N images of these classes, (N,), that were taken for those, (N,)."""
        self._new.append(labels.astype(np.int64) * self._classes + guesses)
        self._pending += len(labels)
        if self._pending >= _PENDING:
            self._join()

    def counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(label, guess, images) of the pairs that occurred, int64 (pairs,) each, in the order of label and guess."""
        self._join()
        return self._codes // self._classes, self._codes % self._classes, self._images

    def _join(self) -> None:
        codes, images = np.unique(np.concatenate([np.empty(0, np.int64), *self._new]), return_counts=True)
        every = np.concatenate([self._codes, codes])
        self._codes, places = np.unique(every, return_inverse=True)
        joined = np.zeros(len(self._codes), np.int64)
        np.add.at(joined, places, np.concatenate([self._images, images]))
        self._images, self._new, self._pending = joined, [], 0


def label_ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the label, (N,); of equal probabilities the lower class comes first."""
    labels = np.asarray(labels)[:, None]
    own = np.take_along_axis(probabilities, labels, axis=1)
    equal_before = (probabilities == own) & (np.arange(probabilities.shape[1]) < labels)
    return np.count_nonzero((probabilities > own) | equal_before, axis=1)  # sorting 21,841 classes would cost a third


def best_classes(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` most probable classes, the best first, int64 (N, count); ties as in :func:`label_ranks`."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
