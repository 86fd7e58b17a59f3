"""Batches of images from a data set: the one place where records become pixels again."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..dataset.manifest import SIZE, PathLike, read_manifest
from ..dataset.shuffle import shuffled
from .buffers import Buffers
from .random_access import DamagedRecord, RecordStore

_LOG = logging.getLogger(__name__)
ON_DAMAGED = ("stop", "skip")

_BATCHES_AHEAD = 3
_IMAGES_PER_TASK = 8  # a decode takes a third of a millisecond: fewer would be lost in handing over
_IMAGE = (SIZE, SIZE, 3)


class Batch(NamedTuple):
    """N images; `ids` are their places in the split, 0…len(reader)-1.

    The memory of `images` is used again once nothing refers to it: what is kept stays as it is.
    """

    images: np.ndarray  # uint8 (N, 256, 256, 3) RGB, or what a transform makes of them
    labels: np.ndarray  # int64 (N,); -1 where the split has none
    ids: np.ndarray  # int64 (N,)


class Transform(Protocol):
    """What the reader's threads make of an image while it is in the cache, such as a crop in the network's order."""

    shape: tuple[int, ...]  # of one rendered image
    dtype: np.dtype

    def draw(self, ids: np.ndarray) -> Sequence[Any]:
        """For each of these ids what its transform needs besides the pixels; called once a batch."""

    def render(self, image: np.ndarray, drawn: Any, out: np.ndarray) -> None:
        """Write the image, uint8 (256, 256, 3) RGB, into `out`, of `shape` and `dtype`; several threads call it."""


class Reader:
    """Reads one split of a data set with a pool of threads (default: all cores).

    A record that turns out to be damaged raises :class:`DatasetError` with `on_damaged="stop"`; with "skip" it is left
    out of its batch and kept in `damaged`: id → the sentence that names it.

    Raises :class:`DatasetError` at once when the manifest, a shard's size or an index is not what was packed.
    """

    def __init__(self, folder: PathLike, split: str, threads: int | None = None, on_damaged: str = "stop") -> None:
        if on_damaged not in ON_DAMAGED:
            raise ValueError(f"on_damaged is {on_damaged!r}, expected {' or '.join(ON_DAMAGED)}")
        self.folder = Path(folder)
        self.manifest = read_manifest(folder)
        self.split = self.manifest.split(split)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.damaged: dict[int, str] = {}
        self._skip = on_damaged == "skip"
        self._records = RecordStore(self.folder, self.manifest, self.split)
        self._buffers = Buffers()
        shards, form = len(self.split.shards), self.manifest.encoding
        _LOG.info("reading %s of %s: %d images in %d shards, %s", split, folder, len(self), shards, form)

    def __len__(self) -> int:
        return self.split.images

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards; the reader cannot be used after that."""
        self._records.close()

    def key(self, number: int) -> str:
        """The source's key (its path below the split's folder) of the image with this id."""
        return self._records.key(number)

    def read(self, number: int) -> tuple[np.ndarray, int]:
        """(uint8 (256, 256, 3) RGB, label) of the image with this id; :class:`DatasetError` when it is damaged."""
        return self._records.read(number)

    def batches(
        self,
        batch_size: int,
        order: np.ndarray | None = None,
        start: int = 0,
        transform: Transform | None = None,
    ) -> Iterator[Batch]:
        """Every image once, in `order` (int64 ids; default: as packed), in batches; the last may be smaller.

        `start` leading entries of the order are left out, which resumes an epoch exactly. `transform` makes of each
        image what the batch holds; without it that is the image. The batches do not depend on the number of
        threads. Each takes `batch_size` entries of the order: where damaged records are skipped it has fewer images,
        perhaps none.

        Raises :class:`DatasetError` that names the shard, position and key of a damaged record, unless those are
        skipped; ValueError for a batch size below 1 or a start below 0.
        """
        if batch_size < 1:
            raise ValueError(f"batch size {batch_size} is below 1")
        if start < 0:
            raise ValueError(f"start {start} is below 0")
        numbers = np.arange(len(self)) if order is None else np.asarray(order, np.int64)
        return self._batches(batch_size, numbers, start, transform)

    def _batches(
        self, batch_size: int, numbers: np.ndarray, start: int, transform: Transform | None
    ) -> Iterator[Batch]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="reader")
        running: deque[tuple[Batch, list[Future]]] = deque()
        begins = iter(range(start, len(numbers), batch_size))
        try:
            while True:
                while len(running) < _BATCHES_AHEAD and (begin := next(begins, None)) is not None:
                    running.append(self._start(pool, numbers[begin : begin + batch_size], transform))
                if not running:
                    return
                batch, tasks = running.popleft()
                lost = [place for task in tasks for place in task.result()]
                if lost:
                    batch = Batch(*(np.delete(field, lost, axis=0) for field in batch))
                del tasks  # they refer to the batch, whose memory is to come back
                yield batch
                del batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, pool: ThreadPoolExecutor, ids: np.ndarray, transform: Transform | None
    ) -> tuple[Batch, list[Future]]:
        count = len(ids)
        if transform is None:
            images, drawn = self._buffers.take((count, *_IMAGE), np.uint8), None
        else:
            images, drawn = self._buffers.take((count, *transform.shape), transform.dtype), transform.draw(ids)
        batch = Batch(images, np.empty(count, np.int64), np.array(ids))
        tasks = [
            pool.submit(self._fill, batch, range(begin, min(begin + _IMAGES_PER_TASK, count)), transform, drawn)
            for begin in range(0, count, _IMAGES_PER_TASK)
        ]
        return batch, tasks

    def _fill(self, batch: Batch, places: range, transform: Transform | None, drawn: Any) -> list[int]:
        """Read and render the images at these places of the batch; returns the places of damaged ones."""
        scratch = np.empty(_IMAGE, np.uint8)
        lost = []
        for place, number in zip(places, batch.ids[places.start : places.stop].tolist()):
            out = batch.images[place]
            try:
                image, batch.labels[place] = self._records.read(number, out if transform is None else scratch)
            except DamagedRecord as error:
                if not self._skip:
                    raise
                self.damaged[number] = str(error)
                lost.append(place)
                continue
            if transform is not None:
                transform.render(image, drawn[place], out)
            elif self.manifest.encoding == "raw":  # those lie where they were read; JPEG was decoded into its place
                out[:] = image
        return lost


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: a permutation of 0…count-1, int64 (count,), that depends on seed and epoch alone."""
    return shuffled(count, seed, epoch)
