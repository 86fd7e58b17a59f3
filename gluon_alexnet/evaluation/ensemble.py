"""Evaluation and prediction with one net or the mean of several, over one view or ten (Sec. 4.1, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.augmentation import crop_views, view_means
from ..errors import OperationFailed
from .metrics import ErrorCounter, Score


def evaluate(
    classify: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    views: Sequence[int] = (10, 1),
    report: Callable[[int], None] = lambda count: None,
) -> list[Score]:
    """Errors over all images of ``batches``, each counted once, for each number of views.

    classify: uint8 (M, size, size, 3) → probabilities (M, classes). batches: of (images uint8
    (N, 256, 256, 3), labels (N,), ids (N,)). report: called with the number of images after each batch.
    Raises OperationFailed where a probability is not a number, or where there are no images, InvalidRequest where they
    have no labels (below 0).
    """
    tallies: list[ErrorCounter] = []
    for images, labels, ids in batches:
        for index, probabilities in enumerate(view_probabilities(classify, images, size, views)):
            _check(probabilities, ids, "The network")
            if len(tallies) == index:
                tallies.append(ErrorCounter(views[index], probabilities.shape[1]))
            tallies[index].add(probabilities, labels)
        report(len(images))
    if not tallies:
        raise OperationFailed("There is not one image to evaluate.")
    return [tally.score for tally in tallies]


class Predicted(NamedTuple):
    """N images as several nets see them."""

    labels: np.ndarray  # int64 (N,)
    ids: np.ndarray  # int64 (N,)
    nets: list[list[np.ndarray]]  # of each net, for each number of views: (N, classes)
    mean: list[np.ndarray]  # of all nets, for each number of views: (N, classes)


def predict(
    nets: Sequence[Any], weights: Sequence[float], batches: Iterable, views: Sequence[int]
) -> Iterator[Predicted]:
    """What several nets say of the same images, and their weighted mean (Sec. 6: 5 CNNs, 7 CNNs).

    nets: with ``classify``, ``size`` and ``source``, as :class:`gluon_alexnet.exporters.symbol.Model`; all of the same
    classes. batches: as for :func:`evaluate`. Raises OperationFailed where a probability is not a number.
    """
    for images, labels, ids in batches:
        each = [
            view_probabilities(net.classify, images, net.size, views, getattr(net, "mean_image", None)) for net in nets
        ]
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


def view_probabilities(
    classify: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    size: int,
    views: Sequence[int],
    mean_image: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Mean softmax (N, classes) over the views, for each number of views asked for; each view is computed once.

    mean_image: float32 (3, 256, 256) where each view has its own pixels' mean subtracted; None: the centre's.
    """
    most = max(views)
    stack = crop_views(images, size, most)
    if mean_image is not None:
        stack = stack - view_means(mean_image, size, most)  # classify subtracts the centre's
    outputs = classify(stack.reshape(-1, size, size, 3)).reshape(len(images), most, -1)
    centre = 0 if most == 1 else 4  # the place of the centre view among the ten, or the nine
    return [outputs.mean(axis=1) if count == most else outputs[:, centre] for count in views]


def _check(probabilities: np.ndarray, ids: np.ndarray, whose: str) -> None:
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        raise OperationFailed(
            f"{whose}: the output for record {np.asarray(ids)[bad][0]} is not a number; these weights are of no use."
        )
