"""Test error as the paper measures it (Sec. 4.1, 6): views, mean softmax of views and nets, top-1 and top-5."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Tally:
    """Errors counted batch by batch: in all, of each class, and of each pair of classes."""

    def __init__(self, views: int, classes: int) -> None:
        self._views = views
        self._classes = np.zeros((3, classes), np.int64)  # images, top-1 wrong, top-5 wrong
        self._pairs: Counter[tuple[int, int]] = Counter()

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count N pictures: probabilities (N, classes), labels (N,) int. Raises WrongUse for a label below 0."""
        labels = np.asarray(labels)
        if np.any(labels < 0):
            raise WrongUse("The pictures of this split have no public labels, so there is no error to measure.")
        ranks = label_ranks(probabilities, labels)
        for row, counted in enumerate((ranks >= 0, ranks >= 1, ranks >= 5)):
            self._classes[row] += np.bincount(labels[counted], minlength=self._classes.shape[1])
        wrong = ranks >= 1
        self._pairs.update(zip(labels[wrong].tolist(), probabilities[wrong].argmax(axis=1).tolist()))

    @property
    def score(self) -> Score:
        """All pictures. Raises FailedWork where there was none."""
        images, top1, top5 = (int(count) for count in self._classes.sum(axis=1))
        if not images:
            raise FailedWork("There is not one picture to evaluate.")
        return Score(self._views, images, top1, top5)

    def class_scores(self) -> list[Score]:
        """The same for the pictures of each class, in label order; a class without pictures has ``images`` 0."""
        return [Score(self._views, *(int(count) for count in column)) for column in self._classes.T]

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """(label, first guess, pictures) of the pairs of classes that were taken for each other most often."""
        ordered = sorted(self._pairs.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(label, guess, pictures) for (label, guess), pictures in ordered[:count]]


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
    tallies: list[Tally] = []
    for pictures, labels, ids in batches:
        for index, probabilities in enumerate(view_probabilities(classify, pictures, size, views)):
            _check(probabilities, ids, "The network")
            if len(tallies) == index:
                tallies.append(Tally(views[index], probabilities.shape[1]))
            tallies[index].add(probabilities, labels)
        report(len(pictures))
    if not tallies:
        raise FailedWork("There is not one picture to evaluate.")
    return [tally.score for tally in tallies]


class Predicted(NamedTuple):
    """N pictures as several nets see them."""

    labels: np.ndarray  # int64 (N,)
    ids: np.ndarray  # int64 (N,)
    nets: list[list[np.ndarray]]  # of each net, for each number of views: (N, classes)
    mean: list[np.ndarray]  # of all nets, for each number of views: (N, classes)


def predict(
    nets: Sequence[Any], weights: Sequence[float], batches: Iterable, views: Sequence[int]
) -> Iterator[Predicted]:
    """What several nets say of the same pictures, and their weighted mean (Sec. 6: 5 CNNs, 7 CNNs).

    nets: with ``classify``, ``size`` and ``source``, as :class:`gluon_alexnet.deployment.Model`; all of the same
    classes. batches: as for :func:`evaluate`. Raises FailedWork where a probability is not a number.
    """
    for pictures, labels, ids in batches:
        each = [view_probabilities(net.classify, pictures, net.size, views) for net in nets]
        for net, of_views in zip(nets, each):
            for probabilities in of_views:
                _check(probabilities, ids, net.source)
        yield Predicted(labels, ids, each, [average([one[v] for one in each], weights) for v in range(len(views))])


def average(probabilities: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of several nets' probabilities, (N, classes) each, as float32; of one net what it says."""
    if len(probabilities) == 1:
        return probabilities[0]
    total = np.zeros(probabilities[0].shape)
    for weight, one in zip(weights, probabilities):
        total += weight * one.astype(np.float64)
    return (total / sum(weights)).astype(np.float32)


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


def best_classes(probabilities: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` most probable classes, the best first, int64 (N, count); ties as in :func:`label_ranks`."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :count]


def _check(probabilities, ids, whose):
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        raise FailedWork(
            f"{whose}: the output for record {np.asarray(ids)[bad][0]} is not a number; these weights are of no use."
        )
