"""How the gradients of an update come together: of one batch, of several replicas and workers, or without waiting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..distributed.collectives import SingleWorker, WorkerGroup
from . import optimizer

Losses = Sequence[Any]  # mean or summed loss of each replica, on its context


class LocalExchange:
    """One replica and nobody else: the gradient of the mean loss is there already.

    ``share_of_rate`` multiplies the learning rates of this process's updates.
    """

    share_of_rate = 1.0

    def reduced(self, loss: Any) -> Any:
        """What is differentiated: the mean of a batch's losses, (N,)."""
        return loss.mean()

    def combine(self, gradients: list[Any], losses: Losses, images: int) -> tuple[float, int, int]:
        """Make the gradients those of the whole batch: (mean loss, images of the batch, what to divide them by)."""
        return _total(losses), images, 1

    def after_update(self, velocities: Callable[[], list[Any]], values: Callable[[], list[Any]]) -> bool:
        """Called after each update; True where the weights were changed by others, too."""
        return False


class SummedExchange(LocalExchange):
    """Replicas, or workers that wait for each other: parts of a batch are added as sums, and divided once."""

    def __init__(self, workers: SingleWorker) -> None:
        self._workers = workers
        self.share_of_rate = workers.share_of_rate

    def reduced(self, loss: Any) -> Any:
        """What is differentiated: the sum of this part's losses."""
        return loss.sum()

    def combine(self, gradients: list[Any], losses: Losses, images: int) -> tuple[float, int, int]:
        """As :meth:`LocalExchange.combine`, over all workers."""
        workers = self._workers
        # In two bits a gradient that is no number is none at all: the loss tells everybody in its place.
        odd = workers.compressed and optimizer.first_not_finite(gradients) is not None
        total, images = workers.add_gradients(gradients, lambda: math.nan if odd else _total(losses), images)
        return (total / images if images else 0.0), images, images


class AsynchronousExchange(LocalExchange):
    """Workers that do not wait: each sends the change that its own update made, with its share of the rate.

    summed: whether this worker has several replicas, whose parts of its batch are added first.
    """

    def __init__(self, workers: WorkerGroup, summed: bool) -> None:
        self._workers, self._own = workers, SummedExchange(workers) if summed else LocalExchange()
        self.share_of_rate = workers.share_of_rate

    def reduced(self, loss: Any) -> Any:
        """As within one process."""
        return self._own.reduced(loss)

    def combine(self, gradients: list[Any], losses: Losses, images: int) -> tuple[float, int, int]:
        """As within one process: add_gradients of asynchronous workers adds nothing."""
        return self._own.combine(gradients, losses, images)

    def after_update(self, velocities: Callable[[], list[Any]], values: Callable[[], list[Any]]) -> bool:
        """Add this worker's changes to the servers' weights, and take those."""
        self._workers.contribute(velocities(), values())
        return True


def _total(losses: Losses) -> float:
    return sum(float(loss.asscalar()) for loss in losses)
