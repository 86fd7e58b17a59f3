"""What a net makes of every validation image: kept as a few numbers an image, so that any number of images fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..data.augmentation import crop_views
from ..errors import OperationFailed
from ..evaluation.metrics import ErrorCounter, Score, label_ranks

CENTRE = 4  # its place among the ten views


class Judged:
    """The images of a split, one entry each, in the order in which they came.

    ``errors``: an ErrorCounter for each number of views. ``guesses``, ``confidences``: the first class over the most
    views and its probability. ``ranks``: how many classes come before the label, for each number of views.
    """

    def __init__(self, views: Sequence[int], classes: int) -> None:
        self.views = tuple(sorted(views, reverse=True))
        self.errors = {count: ErrorCounter(count, classes) for count in self.views}
        self._parts: list[tuple] = []

    def add(self, ids: np.ndarray, labels: np.ndarray, outputs: np.ndarray) -> None:
        """Count N images: ids, labels (N,), and the probabilities of each view (N, views, classes).

        Raises OperationFailed where a probability is not a number, InvalidRequest for a label below 0.
        """
        if not np.isfinite(outputs).all():
            raise OperationFailed("The net gives what is not a number: its weights are of no use.")
        means = {
            count: outputs.mean(axis=1) if count == outputs.shape[1] else outputs[:, CENTRE] for count in self.views
        }
        for count, probabilities in means.items():
            self.errors[count].add(probabilities, labels)
        most = means[self.views[0]]
        ranks = [label_ranks(means[count], labels) for count in self.views]
        self._parts.append((ids.copy(), labels.copy(), most.argmax(axis=1), most.max(axis=1), *ranks))

    def close(self) -> None:
        """No more images will come. Raises OperationFailed where there was none."""
        if not self._parts:
            raise OperationFailed("There is not one image to evaluate.")
        columns = [np.concatenate(column) for column in zip(*self._parts)]
        self.ids, self.labels, self.guesses, self.confidences = columns[:4]
        self.ranks = dict(zip(self.views, columns[4:]))

    @property
    def scores(self) -> list[Score]:
        """The errors over all images, ten views first."""
        return [self.errors[count].score for count in self.views]

    def taken_for(self, label: int, guess: int, count: int) -> list[int]:
        """Ids of images of one class that were taken for another, the surest first."""
        places = np.flatnonzero((self.labels == label) & (self.guesses == guess))
        order = places[np.argsort(-self.confidences[places], kind="stable")]
        return [int(self.ids[place]) for place in order[:count]]

    def telling(self) -> list[tuple[str, int]]:
        """(why it is shown, id) of a few images: sure and right, rescued by ten views, sure and wrong."""
        found = []
        right, most = self.ranks[self.views[0]] == 0, self.confidences
        if right.any():
            sure = np.where(right, most, -1)
            found.append(("Sure, and right", int(self.ids[sure.argmax()])))
        if len(self.views) > 1:
            rescued = right & (self.ranks[1] > 0)
            if rescued.any():
                found.append(("Wrong by its centre alone, right by ten views", int(self.ids[rescued.argmax()])))
        if not right.all():
            astray = np.where(right, -1, most)
            found.append(("Sure, and wrong", int(self.ids[astray.argmax()])))
        return found


def judge(
    classify: Callable[[np.ndarray], np.ndarray],
    batches: Iterable,
    size: int,
    classes: int,
    views: Sequence[int],
    report: Callable[[int], None] = lambda images: None,
) -> Judged:
    """Every image of ``batches``: of (images uint8 (N, 256, 256, 3), labels (N,), ids (N,)).

    classify: uint8 (M, size, size, 3) → probabilities (M, classes). views: 10, 1 or both. report: called with the
    number of images after each batch.
    """
    judged, most = Judged(views, classes), max(views)
    for images, labels, ids in batches:
        stack = crop_views(images, size, most)
        outputs = classify(stack.reshape(-1, size, size, 3)).reshape(len(images), most, -1)
        judged.add(ids, labels, outputs)
        report(len(images))
    judged.close()
    return judged
