"""What a training reads: crops of the training split (Sec. 4.1), and the validation split as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gluon_alexnet.recordio.dataset.statistics import read_statistics
from gluon_alexnet.recordio.reading.reader import Batch, Reader, epoch_order

from .. import backend
from ..data.augmentation import TrainingAugmentation, input_mean, mean_planes
from ..distributed.collectives import SingleWorker
from ..recipes.schema import Recipe
from ..training import loop


class TrainingData:
    """What this worker of a run learns from, and the readers of its two splits."""

    def __init__(self, folder: Path, recipe: Recipe, seed: int, on_damaged: str, workers: SingleWorker) -> None:
        statistics = read_statistics(folder)
        self._size, self._batch_size = recipe.network.input_size, recipe.learning.batch_size
        mean = input_mean(recipe.network, statistics.mean_image)
        whole = recipe.augmentation.mean_before_crop
        # What is subtracted in training and kept with the net: the centre's, or the whole mean image.
        self.mean = mean_planes(statistics.mean_image) if whole else mean
        self._augment = TrainingAugmentation(
            recipe.augmentation,
            self._size,
            self.mean,
            statistics.eigenvalues,
            statistics.axes,
            seed,
            recipe.learning.timetable,
        )
        self._same_batches = recipe.learning.same_batches
        threads = backend.threads() if workers.count > 1 else None
        self._seed, self._workers = seed, workers
        self.readers = tuple(Reader(folder, split, threads, on_damaged) for split in ("train", "val"))
        self.data = loop.Data(len(self.readers[0]), self._epoch, self._validation, mean)

    def _epoch(self, number: int, position: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        train, size, batch_size = self.readers[0], self._size, self._batch_size
        order = np.arange(len(train)) if self._same_batches else epoch_order(len(train), self._seed, number)
        parts = [
            self._workers.part(order[begin : begin + batch_size]) for begin in range(position, len(order), batch_size)
        ]
        own, most = np.concatenate([order[:0], *parts]), max([1, *map(len, parts)])
        read = train.batches(most, own, transform=self._augment.of_epoch(number))
        for part in parts:
            if not len(part):  # of a last batch with fewer images than workers
                yield np.empty((0, 3, size, size), np.float32), np.empty(0, np.int64), 0
                continue
            crops, labels, ids = next(read)
            yield crops, labels, len(part) - len(ids)

    def _validation(self) -> Iterator[Batch]:
        validation = self.readers[1]
        batches = validation.batches(self._batch_size, self._workers.part(np.arange(len(validation))))
        return (batch for batch in batches if len(batch.ids))
