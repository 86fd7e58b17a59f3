"""Evaluation and prediction with one net or the mean of several, over one view or ten (Sec. 4.1, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..data.augmentation import crop_views, in_network_memory, view_means
from ..data.prefetch import prefetched
from ..errors import OperationFailed
from .metrics import ErrorCounter, Score

_AHEAD = 1  # batches that wait, beside the one that is computed and the one that is made


def evaluate(
    classify: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    views: Sequence[int] = (10, 1),
    report: Callable[[int], None] = lambda count: None,
) -> list[Score]:
    """Errors over all images of ``batches``, each counted once, for each number of views.

    A thread reads and crops the next batches while the net computes: up to three of them are in memory.

    classify: uint8 (M, size, size, 3) → probabilities (M, classes). batches: of (images uint8
    (N, 256, 256, 3), labels (N,), ids (N,)). report: called with the number of images after each batch.
    Raises OperationFailed where a probability is not a number, or where there are no images, InvalidRequest where they
    have no labels (below 0).
    """
    tallies: list[ErrorCounter] = []
    cropped = ((labels, ids, view_crops(images, size, views)) for images, labels, ids in batches)
    with prefetched(cropped, _AHEAD) as ready:
        for labels, ids, crops in ready:
            for index, probabilities in enumerate(mean_over_views(classify, crops, views)):
                _check(probabilities, ids, "The network")
                if len(tallies) == index:
                    tallies.append(ErrorCounter(views[index], probabilities.shape[1]))
                tallies[index].add(probabilities, labels)
            report(len(ids))
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

    nets: with ``classify``, ``size`` and ``source``, as :class:`gluon_alexnet.model.classifier.Model`; all of the same
    classes. One with ``takes_floats`` is given float32 in place of uint8, laid out as it needs them. batches: as for
    :func:`evaluate`, and read ahead as there. Raises OperationFailed where a probability is not a number.
    """
    with prefetched(_cropped(nets, batches, views), _AHEAD) as ready:
        for labels, ids, crops in ready:
            each = [mean_over_views(net.classify, crops[_view_of(net)], views) for net in nets]
            for net, of_views in zip(nets, each):
                for probabilities in of_views:
                    _check(probabilities, ids, net.source)
            yield Predicted(labels, ids, each, [average([one[v] for one in each], weights) for v in range(len(views))])


def _cropped(
    nets: Sequence[Any], batches: Iterable, views: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[tuple[int, int, bool], np.ndarray]]]:
    """(labels, ids, crops for each way to see an image) of each batch: nets that see the same share the crops."""
    ways = {_view_of(net): net for net in nets}
    for images, labels, ids in batches:
        yield labels, ids, {way: _crops_for(net, images, views) for way, net in ways.items()}


def _crops_for(net: Any, images: np.ndarray, views: Sequence[int]) -> np.ndarray:
    crops = view_crops(images, net.size, views, getattr(net, "mean_image", None))
    return in_network_memory(crops) if getattr(net, "takes_floats", False) else crops


def _view_of(net: Any) -> tuple[int, int, bool]:
    """What makes two nets see the same of an image: size, the mean image that views have their own part of, type."""
    mean = getattr(net, "mean_image", None)
    return net.size, 0 if mean is None else id(mean), getattr(net, "takes_floats", False)


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
    return mean_over_views(classify, view_crops(images, size, views, mean_image), views)


def view_crops(images: np.ndarray, size: int, views: Sequence[int], mean_image: np.ndarray | None = None) -> np.ndarray:
    """All that a net must see for these numbers of views: uint8 (N, the most views, size, size, 3).

    float32 where there is a ``mean_image``, as :func:`view_probabilities` explains it.
    """
    most = max(views)
    crops = crop_views(images, size, most)
    # classify subtracts the centre's mean.
    return crops if mean_image is None else crops - view_means(mean_image, size, most)


def mean_over_views(
    classify: Callable[[np.ndarray], np.ndarray], crops: np.ndarray, views: Sequence[int]
) -> list[np.ndarray]:
    """Mean softmax (N, classes) for each number of views, of what :func:`view_crops` gave."""
    count, most = crops.shape[:2]
    outputs = classify(crops.reshape(-1, *crops.shape[2:])).reshape(count, most, -1)
    centre = 0 if most == 1 else 4  # the place of the centre view among the ten, or the nine
    return [outputs.mean(axis=1) if count == most else outputs[:, centre] for count in views]


def _check(probabilities: np.ndarray, ids: np.ndarray, whose: str) -> None:
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        raise OperationFailed(
            f"{whose}: the output for record {np.asarray(ids)[bad][0]} is not a number; these weights are of no use."
        )
